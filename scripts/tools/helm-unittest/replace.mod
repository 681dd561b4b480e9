// What helm-unittest's own go.mod replaces, which counts only where it is the main module.
replace github.com/vmware-labs/yaml-jsonpath => github.com/helm-unittest/yaml-jsonpath v0.4.0
