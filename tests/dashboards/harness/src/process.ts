// What Grafana does with frames before a panel draws them: transformations, then field defaults and overrides.
import {
  applyFieldOverrides, cacheFieldDisplayNames, createTheme, dataLinksOverrideProcessor, type DataFrame, displayNameOverrideProcessor, FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem, type GrafanaTheme2, identityOverrideProcessor, type InterpolateFunction, numberOverrideProcessor, standardTransformers,
  standardTransformersRegistry, thresholdsOverrideProcessor, transformDataFrame, valueMappingsOverrideProcessor,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';

export const themes: Record<string, GrafanaTheme2> = {
  light: createTheme({ colors: { mode: 'light' } }),
  dark: createTheme({ colors: { mode: 'dark' } }),
};

// By id, since one of them is listed under an older name too.
const TRANSFORMERS = new Map(Object.values(standardTransformers).map((info) => [info.id, info]));
standardTransformersRegistry.setInit(() =>
  [...TRANSFORMERS.values()].map((info) => ({
    id: info.id, name: info.name, editor: () => null, imageDark: '', imageLight: '', transformation: () => Promise.resolve(info as any),
  }))
);

const PROCESSORS: Record<string, FieldConfigPropertyItem['process']> = {
  decimals: numberOverrideProcessor, displayName: displayNameOverrideProcessor, links: dataLinksOverrideProcessor,
  mappings: valueMappingsOverrideProcessor, max: numberOverrideProcessor, min: numberOverrideProcessor, thresholds: thresholdsOverrideProcessor,
};
const STANDARD = [...Object.keys(PROCESSORS), 'actions', 'color', 'description', 'fieldMinMax', 'filterable', 'noValue', 'unit'];

// Each kind of panel declares its own properties (`custom.*`) in Grafana. Here those count that the dashboard sets: what it
// misspells is caught by its types (tests/contract/test_dashboards.py).
function registry(fieldConfig: any): FieldConfigOptionsRegistry {
  const set = fieldConfig.overrides.flatMap((rule: any) => rule.properties.map((property: any) => property.id)) as string[];
  const custom = [...Object.keys(fieldConfig.defaults.custom ?? {}).map((key) => `custom.${key}`), ...set.filter((id) => id.startsWith('custom.'))];
  const unknown = set.filter((id) => !id.startsWith('custom.') && !STANDARD.includes(id));
  if (unknown.length) {
    throw new Error(`overrides set ${unknown}, which is not a property of fields`);
  }
  const items = [...new Set([...STANDARD, ...custom])].map((id) => {
    const isCustom = id.startsWith('custom.');
    return {
      id, isCustom, path: isCustom ? id.slice('custom.'.length) : id, name: id, process: PROCESSORS[id] ?? identityOverrideProcessor,
      shouldApply: () => true, override: () => null, editor: () => null, settings: {},
    } as unknown as FieldConfigPropertyItem;
  });
  return new FieldConfigOptionsRegistry(() => items);
}

export async function processed(panel: any, frames: DataFrame[], replace: InterpolateFunction, theme: GrafanaTheme2): Promise<DataFrame[]> {
  const context = { interpolate: (text: string) => replace(text) };
  const transformed = await firstValueFrom(transformDataFrame(panel.transformations ?? [], frames, context));
  const fieldConfig = { defaults: panel.fieldConfig?.defaults ?? {}, overrides: panel.fieldConfig?.overrides ?? [] };
  const found = applyFieldOverrides({
    data: transformed, fieldConfig, fieldConfigRegistry: registry(fieldConfig), replaceVariables: replace, theme, timeZone: 'utc',
  });
  cacheFieldDisplayNames(found);
  return found;
}
