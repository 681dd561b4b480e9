// Measures of what is on the page: for each panel every piece of text with its size, and what of it cannot be seen.
interface Text {
  text: string;
  px: number;
  clipped: boolean;
  where: string; // title, heading, cell, legend or text
}

export function measure() {
  return [...document.querySelectorAll<HTMLElement>('[data-panel]')].map((panel) => ({
    id: Number(panel.dataset.panel),
    texts: texts(panel),
    rows: [...panel.querySelectorAll('[role="row"]')].map((row) => [...row.querySelectorAll('[role="gridcell"], [role="columnheader"]')].map((cell) => (cell as HTMLElement).innerText.trim())),
    sideways: [...panel.querySelectorAll<HTMLElement>('[role="grid"]')].some((grid) => grid.scrollWidth > grid.clientWidth + 1),
  }));
}

function texts(panel: HTMLElement): Text[] {
  const found: Text[] = [];
  const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.textContent?.trim();
    const element = node.parentElement!;
    if (text && element.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true }) && !element.closest('svg, style') && !forScreenReaders(element)) {
      found.push({ text, px: parseFloat(getComputedStyle(element).fontSize), clipped: clipped(node, panel), where: where(element) });
    }
  }
  return found;
}

function forScreenReaders(element: HTMLElement): boolean {
  const { width, height } = element.getBoundingClientRect();
  return width <= 1 || height <= 1 || getComputedStyle(element).clip.startsWith('rect(0');
}

// Cut off by a box that hides what sticks out, at its edge or with an ellipsis. What can be scrolled to is not cut off.
function clipped(node: Node, panel: HTMLElement): boolean {
  const range = document.createRange();
  range.selectNodeContents(node);
  const text = range.getBoundingClientRect();
  for (let box: HTMLElement | null = node.parentElement; box && panel.contains(box); box = box.parentElement) {
    const style = getComputedStyle(box);
    const rect = box.getBoundingClientRect();
    if (style.overflowX === 'auto' || style.overflowX === 'scroll' || style.overflowY === 'auto' || style.overflowY === 'scroll') {
      return false;
    }
    const beyond = text.right > rect.right + 1 || text.left < rect.left - 1;
    const below = text.bottom > rect.bottom + 2 || text.top < rect.top - 2;
    if ((style.overflowX !== 'visible' && (beyond || (box.scrollWidth > box.clientWidth + 1 && box === node.parentElement))) || (style.overflowY !== 'visible' && below)) {
      return true;
    }
    if (box === panel && (beyond || below)) {
      return true;
    }
  }
  return false;
}

function where(element: HTMLElement): string {
  if (element.closest('[role="columnheader"]')) {
    return 'heading';
  }
  if (element.closest('[role="gridcell"]')) {
    return 'cell';
  }
  return element.closest('h2, .section') ? 'title' : element.closest('[data-testid*="egend"], [class*="egend"]') ? 'legend' : 'text';
}
