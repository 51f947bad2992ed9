/** Plots requests per second of every system under every workload as SVG bars, with the range of the rounds. */
import type { Row } from './comparison.ts';
import type { SystemName } from './systems/system.ts';
import { workloadNamed } from './workloads.ts';

const COLOURS: Record<SystemName, string> = {
  upstream: '#9aa0a6',
  bare: '#5f8dd3',
  reading: '#9fb9e0',
  tollgate: '#1b7f4b',
  'tollgate-before': '#86b89d',
  agent: '#7fb89a',
  'agent-before': '#bcdccb',
  'tollgate+agent': '#0f5132',
  portkey: '#d08a2e',
  smg: '#b5651d',
  'one-api': '#c9a227',
  litellm: '#8c6d46',
};
const BAR = { height: 14, gap: 3, left: 110, width: 520 } as const;
const GROUP_GAP = 34;
const TEXT = 'font-family="sans-serif" font-size="11"';

/** Each group of bars has its own scale, because the groups measure different workloads. */
export function plot(rows: readonly Row[]): string {
  const groups = [...Map.groupBy(rows, ({ workload, connections }) => `${workload} ${connections}`).values()];
  let y = 10;
  const parts = groups.flatMap((group) => {
    const top = y;
    y += 18 + group.length * (BAR.height + BAR.gap) + GROUP_GAP - 18;
    return [
      titleOf(group, top),
      ...group.map((row, i) => bar(row, scaleOf(group), top + 18 + i * (BAR.height + BAR.gap))),
    ];
  });
  const width = BAR.left + BAR.width + 110;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}">\n<rect width="100%" height="100%" fill="white"/>\n${parts.join('\n')}\n</svg>\n`;
}

function titleOf([first]: readonly Row[], y: number): string {
  const { workload, connections } = first!;
  const title = `${workloadNamed(workload).title}, connections: ${connections} — requests/s`;
  return `<text x="4" y="${y + 12}" ${TEXT} font-weight="bold">${title}</text>`;
}

function scaleOf(group: readonly Row[]): number {
  return BAR.width / Math.max(...group.map(({ requestsPerSecond }) => requestsPerSecond?.max ?? 0), 1);
}

function bar({ system, requestsPerSecond }: Row, scale: number, y: number): string {
  const { median = 0, min = 0, max = 0 } = requestsPerSecond ?? {};
  const middle = y + BAR.height / 2;
  const x = (value: number) => (BAR.left + value * scale).toFixed(1);
  return [
    `<text x="${BAR.left - 6}" y="${middle + 4}" ${TEXT} text-anchor="end">${system}</text>`,
    `<rect x="${BAR.left}" y="${y}" width="${(median * scale).toFixed(1)}" height="${BAR.height}" fill="${COLOURS[system]}"/>`,
    `<line x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}" stroke="black"/>`,
    `<text x="${BAR.left + max * scale + 6}" y="${middle + 4}" ${TEXT}>${Math.round(median).toLocaleString('en')}</text>`,
  ].join('');
}
