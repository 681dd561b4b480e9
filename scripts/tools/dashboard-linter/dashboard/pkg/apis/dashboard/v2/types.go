// Package v2 stands in for the package of the same name in Grafana's tree, which dashboard-linter needs to read
// dashboards in the V2 form and which module mirrors do not all carry. Ours are Classic JSON. The types have the fields
// that the linter's source names, so that it compiles; a V2 dashboard is refused rather than half read.
package v2

import "errors"

// DashboardSpec is a V2 dashboard, which this build cannot read.
type DashboardSpec struct {
	Title       string
	Editable    *bool
	Elements    map[string]DashboardElement
	Variables   []DashboardVariableKind
	Annotations []DashboardAnnotationQueryKind
}

// UnmarshalJSON always fails.
func (*DashboardSpec) UnmarshalJSON([]byte) error {
	return errors.New("this build of dashboard-linter reads Classic dashboards only")
}

// DashboardElement is a panel or something else.
type DashboardElement struct {
	PanelKind *kind[DashboardPanelSpec]
}

type kind[Spec any] struct {
	Spec Spec
}

// DashboardPanelSpec is one panel.
type DashboardPanelSpec struct {
	Id          float64
	Title       string
	Description string
	VizConfig   struct {
		Group string
		Spec  struct {
			FieldConfig any
			Options     any
		}
	}
	Data kind[struct{ Queries []DashboardPanelQueryKind }]
}

// DashboardPanelQueryKind is one query of a panel.
type DashboardPanelQueryKind struct {
	Spec struct {
		RefId  string
		Hidden bool
		Query  DashboardDataQueryKind
	}
}

// DashboardDataQueryKind is what a query asks, and of which data source.
type DashboardDataQueryKind struct {
	Group      string
	Datasource *struct{ Name *string }
	Spec       map[string]any
}

// DashboardVariableRefresh says when a variable is asked for again.
type DashboardVariableRefresh string

// The values that the linter tells apart.
const (
	DashboardVariableRefreshOnDashboardLoad    DashboardVariableRefresh = "onDashboardLoad"
	DashboardVariableRefreshOnTimeRangeChanged DashboardVariableRefresh = "onTimeRangeChanged"
)

type variable struct {
	Name  string
	Label *string
}

type choice struct {
	variable
	Multi    bool
	AllValue *string
}

type text struct {
	variable
	Query string
}

// DashboardVariableKind is one variable: the field that is set says of which kind.
type DashboardVariableKind struct {
	QueryVariableKind *kind[struct {
		choice
		Refresh DashboardVariableRefresh
		Query   DashboardDataQueryKind
	}]
	DatasourceVariableKind *kind[struct {
		choice
		Refresh  DashboardVariableRefresh
		PluginId string
	}]
	CustomVariableKind *kind[struct {
		choice
		Query string
	}]
	IntervalVariableKind *kind[text]
	ConstantVariableKind *kind[text]
	TextVariableKind     *kind[text]
	AdhocVariableKind    *kind[variable]
	GroupByVariableKind  *kind[choice]
	SwitchVariableKind   *kind[variable]
}

// DashboardAnnotationQueryKind is one query for annotations.
type DashboardAnnotationQueryKind struct {
	Spec struct {
		Name  string
		Query DashboardDataQueryKind
	}
}
