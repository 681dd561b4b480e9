// Draws a dashboard from its JSON and recorded answers: window.draw(job), then window.report().
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import './page.css';
import { dateTime, type DataFrame, getFieldDisplayName, formattedValueToString, ThemeContext, type TimeRange } from '@grafana/data';
import { GlobalStyles, PanelChrome, PortalContainer } from '@grafana/ui';
import { createRoot, type Root } from 'react-dom/client';

import { type Answer, framesOf } from './frames';
import { drawing, withDefaults } from './panels';
import { processed, themes } from './process';
import { measure } from './report';
import { interpolator, type Variables } from './variables';

interface Job {
  board: any;
  answers: Record<string, Record<string, Answer>>; // of panel and query
  variables: Variables;
  from: number; // Unix seconds
  to: number;
  theme: 'light' | 'dark';
}
interface Placed {
  panel: any;
  frames: DataFrame[];
}

// Grafana's grid: 24 columns, cells of 30 px, gaps of 8 px.
const COLUMNS = 24;
const CELL = 30;
const GAP = 8;
const PAGE_PADDING = 16;

let root: Root | undefined;
let placed: Placed[] = [];

async function draw(job: Job): Promise<void> {
  root?.unmount();
  // It is as late as in the recording, for units such as "5 minutes ago".
  Date.now = () => job.to * 1000;
  const theme = themes[job.theme];
  const replace = interpolator(job.variables);
  placed = [];
  for (const original of visible(job.board.panels)) {
    const panel = withDefaults({ ...original, title: replace(original.title ?? '') });
    const frames = original.type === 'row' ? [] : framesOf(panel.targets ?? [], job.answers[panel.id] ?? {});
    placed.push({ panel, frames: panel.type === 'row' ? [] : await processed(panel, frames, replace, theme) });
  }
  const timeRange: TimeRange = { from: dateTime(job.from * 1000), to: dateTime(job.to * 1000), raw: { from: 'now-1h', to: 'now' } };
  const width = window.innerWidth - 2 * PAGE_PADDING;
  const place = ({ x, y, w, h }: any) => {
    const column = (width + GAP) / COLUMNS;
    return { left: PAGE_PADDING + x * column, top: y * (CELL + GAP), width: w * column - GAP, height: h * (CELL + GAP) - GAP };
  };
  const bottom = Math.max(...placed.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h)) * (CELL + GAP);
  root = createRoot(document.getElementById('root')!);
  await new Promise<void>((done) => {
    root!.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <div ref={() => done()} className="page" style={{ background: theme.colors.background.canvas, color: theme.colors.text.primary }}>
          <Controls board={job.board} variables={job.variables} theme={theme} />
          <div className="grid" style={{ height: bottom + GAP }}>
            {placed.map(({ panel, frames }) => {
              const box = place(panel.gridPos);
              const Draw = drawing(panel.type);
              return (
                <div key={panel.id} className="panel" data-panel={panel.id} style={box}>
                  {panel.type === 'row' ? (
                    <div className="section">{panel.title}</div>
                  ) : (
                    <PanelChrome title={panel.title} description={panel.description} width={box.width} height={box.height} displayMode={panel.transparent ? 'transparent' : 'default'} padding={panel.type === 'table' ? 'none' : 'md'}>
                      {(innerWidth, innerHeight) => <Draw panel={panel} frames={frames} width={innerWidth} height={innerHeight} theme={theme} timeRange={timeRange} replace={replace} />}
                    </PanelChrome>
                  )}
                </div>
              );
            })}
          </div>
          <PortalContainer />
        </div>
      </ThemeContext.Provider>
    );
  });
  await document.fonts.ready;
  // Sizes that are measured in an effect (columns, rows, legends) are there after a few frames.
  for (let frame = 0; frame < 6; frame++) {
    await new Promise(requestAnimationFrame);
  }
}

// The panels that a reader sees as the dashboard opens: those of collapsed rows are neither drawn nor asked for.
function visible(panels: any[]): any[] {
  return panels.map(({ panels: _, ...panel }) => panel);
}

function Controls({ board, variables, theme }: any) {
  const shown = board.templating.list.filter((variable: any) => ![2, 3].includes(variable.hide)); // hidden, or in the menu of controls
  const border = `1px solid ${theme.colors.border.medium}`;
  return (
    <div className="controls">
      <h1>{board.title}</h1>
      {shown.map((variable: any) => (
        <span key={variable.name} className="variable" style={{ border, background: theme.components.input.background }}>
          <b>{variable.label ?? variable.name}</b> {String(variables[`${variable.name}:shown`] ?? variables[variable.name] ?? '')}
        </span>
      ))}
      {(board.links ?? []).map((link: any) => <span key={link.title} className="link" style={{ color: theme.colors.text.link }}>{link.title}</span>)}
    </div>
  );
}

// What was drawn, as text: columns, rows, colours and links of every panel, in the order of the frames.
function facts() {
  return placed.map(({ panel, frames }) => ({
    id: panel.id,
    title: panel.title,
    type: panel.type,
    frames: frames.map((frame) => ({
      name: frame.name,
      fields: frame.fields.map((field) => ({
        name: getFieldDisplayName(field, frame, frames),
        type: field.type,
        labels: field.labels,
        values: Array.from(field.values, (value, index) => shown(field, value, index)),
      })),
    })),
  }));
}

function shown(field: any, value: any, index: number) {
  const display = field.display?.(value) ?? { text: String(value) };
  const links = field.getLinks?.({ valueRowIndex: index }) ?? [];
  return { raw: value, text: formattedValueToString(display), color: display.color, links: links.map(({ href }: any) => href) };
}

Object.assign(window, { draw, report: () => ({ panels: measure(), facts: facts() }) });
