// Variables in titles, links and texts: $name, ${name}, ${name:format} and what data links know of a value.
import { type DataFrame, type InterpolateFunction, type ScopedVars, getFieldDisplayName } from '@grafana/data';

export type Variables = Record<string, string | string[]>;
const VARIABLE = /\$\{([^}:]+)(?::([\w-]+))?\}|\$(\w+)/g;

export function interpolator(variables: Variables): InterpolateFunction {
  return (text, scoped?: ScopedVars, format?: any) =>
    (text ?? '').replace(VARIABLE, (whole, braced, wanted, bare) => {
      const name = braced ?? bare;
      const value = scoped?.[name]?.value ?? macro(name, scoped) ?? variables[name];
      return value === undefined ? whole : formatted(name, value, wanted ?? (typeof format === 'string' ? format : undefined));
    });
}

function formatted(name: string, value: unknown, format?: string): string {
  const values = (Array.isArray(value) ? value : [value]).map(String);
  switch (format) {
    case 'percentencode':
      return encodeURIComponent(values.join(','));
    case 'queryparam':
      return values.map((each) => `var-${name}=${encodeURIComponent(each)}`).join('&');
    case 'regex':
      return values.length > 1 ? `(${values.join('|')})` : values[0];
    case 'raw':
    case 'text':
    default:
      return values.length > 1 ? `{${values.join(',')}}` : (values[0] ?? '');
  }
}

// ${__data.fields.NAME}, ${__field.labels.NAME}, ${__value.text}, ... of the value that a link belongs to.
function macro(name: string, scoped?: ScopedVars): unknown {
  const context = scoped?.__dataContext?.value;
  if (!context) {
    return undefined;
  }
  const { frame, field, rowIndex, calculatedValue } = context as { frame: DataFrame } & Record<string, any>;
  const labelled = /^__field\.labels\.(.+)$|^__field\.labels\["(.+)"\]$/.exec(name);
  if (labelled) {
    return field.labels?.[labelled[1] ?? labelled[2]] ?? '';
  }
  const column = /^__data\.fields(?:\.([^.[]+)|\["?(.+?)"?\])(?:\.(\w+))?$/.exec(name);
  if (column && rowIndex !== undefined) {
    const wanted = column[1] ?? column[2];
    const found = frame.fields.find((each) => each.name === wanted || getFieldDisplayName(each, frame) === wanted) ?? frame.fields[Number(wanted)];
    const value = found?.values[rowIndex];
    return found && column[3] === 'text' ? (found.display?.(value).text ?? value) : (value ?? '');
  }
  const value = field.values[rowIndex ?? field.values.length - 1];
  switch (name) {
    case '__field.name':
      return getFieldDisplayName(field, frame);
    case '__value.raw':
    case '__value.numeric':
      return calculatedValue?.numeric ?? value ?? '';
    case '__value.text':
      return calculatedValue?.text ?? field.display?.(value).text ?? '';
    case '__value.time':
      return frame.fields.find((each) => each.type === 'time')?.values[rowIndex ?? field.values.length - 1] ?? '';
    default:
      return undefined;
  }
}
