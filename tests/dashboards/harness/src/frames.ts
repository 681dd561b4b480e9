// Answers of Prometheus' HTTP API as the data frames that Grafana makes of them.
import { createDataFrame, type DataFrame, FieldType, type Field } from '@grafana/data';

export interface Target {
  refId: string;
  format?: 'time_series' | 'table' | 'heatmap';
  legendFormat?: string;
}
type Labels = Record<string, string>;
type Sample = [number, string];
export interface Answer {
  resultType: 'matrix' | 'vector' | 'scalar' | 'frame';
  result: any[];
  step: number;
}

// The columns of several tables are told apart by their query: `Value #A`.
export function framesOf(targets: Target[], answers: Record<string, Answer>): DataFrame[] {
  const tables = targets.filter((target) => target.format === 'table').length;
  return targets.flatMap((target) => {
    const answer = answers[target.refId];
    if (!answer || answer.result.length === 0) {
      return [];
    }
    if (answer.resultType === 'frame') {
      return [{ ...createDataFrame(answer.result[0]), refId: target.refId }];
    }
    const series = answer.result.map((one) => ({ labels: one.metric as Labels, samples: (one.values ?? [one.value]) as Sample[] }));
    return target.format === 'table'
      ? [tableFrame(target.refId, tables > 1 ? `Value #${target.refId}` : 'Value', series)]
      : series.map((one) => seriesFrame(target, answer.step, one.labels, one.samples));
  });
}

function seriesFrame(target: Target, step: number, labels: Labels, samples: Sample[]): DataFrame {
  const name = legend(target.legendFormat, labels);
  return createDataFrame({
    refId: target.refId,
    name,
    fields: [
      { name: 'Time', type: FieldType.time, values: samples.map(([time]) => time * 1000), config: { interval: step * 1000 } },
      { name: 'Value', type: FieldType.number, values: samples.map(([, text]) => number(text)), labels, config: name ? { displayNameFromDS: name } : {} },
    ],
  });
}

function tableFrame(refId: string, valueName: string, series: Array<{ labels: Labels; samples: Sample[] }>): DataFrame {
  const names = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].sort();
  const rows = series.flatMap(({ labels, samples }) => samples.map(([time, text]) => ({ labels, time, text })));
  const columns: Array<Partial<Field> & { name: string }> = names.map((name) => ({
    name,
    type: FieldType.string,
    values: rows.map(({ labels }) => labels[name] ?? ''),
    config: { filterable: true },
  }));
  return createDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map(({ time }) => time * 1000) },
      ...columns,
      { name: valueName, type: FieldType.number, values: rows.map(({ text }) => number(text)) },
    ],
  });
}

function legend(format: string | undefined, labels: Labels): string {
  if (format && format !== '__auto') {
    return format.replace(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] ?? '');
  }
  const { __name__: metric = '', ...rest } = labels;
  const inner = Object.entries(rest).map(([name, value]) => `${name}="${value}"`);
  return inner.length ? `${metric}{${inner.join(', ')}}` : metric;
}

function number(text: string): number {
  return { '+Inf': Infinity, '-Inf': -Infinity }[text] ?? Number(text);
}
