// One component for each type of panel. Stat, table and time series are Grafana's own components; state timeline, heatmap and
// logs are not published as packages, and are boxes of ours with their data.
import {
  type DataFrame, FieldColorModeId, FieldType, formattedValueToString, getDisplayValueAlignmentFactors, getFieldDisplayName, getFieldDisplayValues,
  type GrafanaTheme2, type InterpolateFunction, type TimeRange, VizOrientation,
} from '@grafana/data';
import { BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

export interface DrawProps {
  panel: any;
  frames: DataFrame[];
  width: number;
  height: number;
  theme: GrafanaTheme2;
  timeRange: TimeRange;
  replace: InterpolateFunction;
}
type Draw = (props: DrawProps) => JSX.Element;
type JSX = any;

const noValue = (panel: any) => panel.fieldConfig?.defaults?.noValue || 'No data';
const empty = (frames: DataFrame[]) => frames.every((frame) => frame.length === 0);

function Message({ text }: { text: string }) {
  return <div className="message">{text}</div>;
}

function Stat({ panel, frames, width, height, theme, replace }: DrawProps) {
  const options = panel.options;
  const fieldConfig = panel.fieldConfig;
  const getValues = () =>
    getFieldDisplayValues({
      data: frames, fieldConfig, reduceOptions: options.reduceOptions, replaceVariables: replace, theme, timeZone: 'utc',
      sparkline: options.graphMode !== 'none', percentChange: options.showPercentChange,
    });
  return (
    <VizRepeater
      getValues={getValues} getAlignmentFactors={getDisplayValueAlignmentFactors} width={width} height={height} source={frames}
      renderCounter={0} autoGrid={true} itemSpacing={3} orientation={options.orientation ?? VizOrientation.Auto}
      renderValue={({ value, width, height, alignmentFactors, count }: any) => (
        <BigValue
          value={value.display} sparkline={value.sparkline} count={count} alignmentFactors={alignmentFactors} width={width} height={height}
          theme={theme} text={options.text} hasLinks={value.hasLinks} colorMode={options.colorMode} graphMode={options.graphMode}
          justifyMode={options.justifyMode} textMode={options.textMode} percentChangeColorMode={options.percentChangeColorMode}
          disableWideLayout={!options.wideLayout}
        />
      )}
    />
  );
}

function Table({ panel, frames, width, height, timeRange }: DrawProps) {
  if (empty(frames)) {
    return <Message text={noValue(panel)} />;
  }
  const { sortBy, showHeader, cellHeight, enablePagination, frozenColumns } = panel.options;
  return (
    <TableNG
      data={frames[0]} width={width} height={height} noHeader={!showHeader} sortBy={sortBy} cellHeight={cellHeight} timeRange={timeRange}
      enablePagination={enablePagination} frozenColumns={frozenColumns?.left} noValue={noValue(panel)} fieldConfig={panel.fieldConfig}
      enableVirtualization={true} resizable={true} getActions={() => []} structureRev={1}
    />
  );
}

function Series({ panel, frames, width, height, timeRange }: DrawProps) {
  if (empty(frames)) {
    return <Message text={noValue(panel)} />;
  }
  return <TimeSeries frames={frames} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} />;
}

// As in Grafana: a bar for each series, a section for each run of the same text, its text where it fits.
function StateTimeline({ panel, frames, width, height, timeRange, theme }: DrawProps) {
  if (empty(frames)) {
    return <Message text={noValue(panel)} />;
  }
  const from = timeRange.from.valueOf();
  const span = timeRange.to.valueOf() - from;
  const rows = frames.flatMap((frame) => {
    const time = frame.fields.find(({ type }) => type === FieldType.time)!;
    return frame.fields.filter((field) => field !== time).map((field) => ({ name: getFieldDisplayName(field, frame, frames), field, time }));
  });
  const perPage = panel.options.perPage ?? 20;
  const shown = rows.slice(0, perPage);
  const legendHeight = rows.length > perPage ? 32 : 8;
  const rowHeight = (height - legendHeight) / shown.length;
  const nameWidth = Math.min(width / 3, 12 + 7 * Math.max(...shown.map(({ name }) => name.length)));
  return (
    <div className="timeline">
      {shown.map(({ name, field, time }, index) => (
        <div key={index} className="timeline-row" style={{ height: rowHeight }}>
          <div className="timeline-name" style={{ width: nameWidth }}>{name}</div>
          <div className="timeline-bar" style={{ height: rowHeight * (panel.options.rowHeight ?? 0.9) }}>
            {sections(field, time.values, timeRange.to.valueOf()).map(({ start, end, display }, position) => {
              const sectionWidth = ((end - start) / span) * (width - nameWidth);
              const text = formattedValueToString(display);
              return (
                <div
                  key={position} className="timeline-section"
                  style={{ left: `${((start - from) / span) * 100}%`, width: `${((end - start) / span) * 100}%`, background: display.color, color: theme.colors.getContrastText(display.color ?? '#888') }}
                >
                  {panel.options.showValue !== 'never' && sectionWidth > 7 * text.length + 8 ? text : ''}
                </div>
              );
            })}
          </div>
        </div>
      ))}
      {rows.length > perPage && <div className="pages">{`1 of ${Math.ceil(rows.length / perPage)} pages`}</div>}
    </div>
  );
}

function sections(field: any, times: number[], end: number) {
  const found: Array<{ start: number; end: number; display: any }> = [];
  field.values.forEach((value: any, index: number) => {
    const display = field.display(value);
    const last = found.at(-1);
    if (last) {
      last.end = times[index];
    }
    if (value !== null && (!last || formattedValueToString(last.display) !== formattedValueToString(display))) {
      found.push({ start: times[index], end, display });
    }
  });
  if (found.length) {
    found.at(-1)!.end = end;
  }
  return found;
}

function Heatmap({ panel, frames, width, height }: DrawProps) {
  if (empty(frames)) {
    return <Message text={noValue(panel)} />;
  }
  const rows = frames.map((frame) => frame.fields[1]);
  const most = Math.max(...rows.flatMap((field) => field.values.filter(Number.isFinite)), 1e-9);
  return (
    <div className="heatmap">
      {rows.map((field, row) => (
        <div key={row} style={{ height: height / rows.length, width, display: 'flex' }}>
          {field.values.map((value, column) => <div key={column} style={{ flex: 1, background: `rgba(255, 120, 10, ${(Number(value) || 0) / most})` }} />)}
        </div>
      ))}
    </div>
  );
}

function Logs({ panel, frames }: DrawProps) {
  if (empty(frames)) {
    return <Message text={noValue(panel)} />;
  }
  const [frame] = frames;
  const time = frame.fields.find(({ type }) => type === FieldType.time)!;
  const line = frame.fields.find(({ type }) => type === FieldType.string)!;
  return (
    <div className="logs">
      {line.values.map((text, index) => (
        <div key={index}><span>{new Date(time.values[index]).toISOString().slice(11, 23)}</span> {text}</div>
      ))}
    </div>
  );
}

function Text({ panel, replace }: DrawProps) {
  return <div className="logs">{replace(panel.options.content ?? '')}</div>;
}

function Other({ panel }: DrawProps) {
  return <Message text={`A panel of the type ${panel.type}, which this harness does not draw.`} />;
}

const PANELS: Record<string, Draw> = {
  heatmap: Heatmap, logs: Logs, stat: Stat, 'state-timeline': StateTimeline, table: Table, text: Text, timeseries: Series,
};
export const drawing = (type: string): Draw => PANELS[type] ?? Other;

// What Grafana fills in where a dashboard says nothing.
const THRESHOLDS = { mode: 'absolute', steps: [{ value: null, color: 'green' }, { value: 80, color: 'red' }] };
const OPTIONS: Record<string, any> = {
  stat: {
    colorMode: 'value', graphMode: 'area', justifyMode: 'auto', textMode: 'auto', wideLayout: true, percentChangeColorMode: 'standard',
    showPercentChange: false, reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
  },
  table: { showHeader: true, cellHeight: 'sm', enablePagination: false, sortBy: [] },
  timeseries: { legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] } },
};
const CUSTOM: Record<string, any> = {
  table: { align: 'auto', cellOptions: { type: 'auto' } },
  timeseries: {
    drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', showPoints: 'auto', pointSize: 5,
    axisPlacement: 'auto', axisLabel: '', axisColorMode: 'text', axisBorderShow: false, axisCenteredZero: false, scaleDistribution: { type: 'linear' },
    spanNulls: false, insertNulls: false, stacking: { mode: 'none', group: 'A' }, hideFrom: { legend: false, tooltip: false, viz: false },
    barAlignment: 0, barWidthFactor: 0.6, thresholdsStyle: { mode: 'off' },
  },
};

export function withDefaults(panel: any): any {
  const defaults = panel.fieldConfig?.defaults ?? {};
  const mode = panel.type === 'timeseries' ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds;
  const options = { ...OPTIONS[panel.type], ...panel.options };
  if (OPTIONS[panel.type]?.reduceOptions) {
    options.reduceOptions = { ...OPTIONS[panel.type].reduceOptions, ...panel.options?.reduceOptions };
  }
  return {
    ...panel,
    options,
    fieldConfig: {
      defaults: { color: { mode }, thresholds: THRESHOLDS, mappings: [], ...defaults, custom: { ...CUSTOM[panel.type], ...defaults.custom } },
      overrides: panel.fieldConfig?.overrides ?? [],
    },
  };
}
