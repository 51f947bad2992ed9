/**
 * Tokens by kind as stacked bars, drawn to SVG on the server. Colours are the stylesheet's variables, so both themes
 * fit; ECharts' inline styles become attributes, so that the page's policy can forbid inline styles.
 */
import { BarChart } from 'echarts/charts';
import { GridComponent, LegendComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, GridComponent, LegendComponent, SVGRenderer]);

export const KINDS = ['cached', 'uncached', 'reasoning', 'answer'] as const;
export type Kind = (typeof KINDS)[number];

export interface Bar extends Readonly<Record<Kind, number>> {
  readonly label: string;
}

/** The width of the page's column, so that letters keep their size. */
const WIDTH = 1104;
const HEIGHT = 320;

/** @returns an `<svg>` element without script or inline style */
export function tokenBars(
  bars: readonly Bar[],
  words: { kinds: Record<Kind, string>; shortCount: (value: number) => string },
): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  try {
    const text = { color: 'var(--muted)', fontSize: 12, fontFamily: 'sans-serif' };
    const line = { lineStyle: { color: 'var(--color-base-300)' } };
    chart.setOption({
      animation: false,
      grid: { left: 56, right: 8, top: 40, bottom: 28 },
      legend: { left: 0, top: 0, itemWidth: 12, itemHeight: 12, itemGap: 20, textStyle: text, icon: 'rect' },
      xAxis: {
        type: 'category',
        data: bars.map((bar) => bar.label),
        axisTick: { show: false },
        axisLine: line,
        axisLabel: text,
      },
      yAxis: {
        type: 'value',
        minInterval: 1,
        splitNumber: 4,
        axisLabel: { ...text, formatter: (value: number) => words.shortCount(value) },
        splitLine: line,
      },
      series: KINDS.map((kind) => ({
        type: 'bar',
        stack: 'tokens',
        silent: true,
        name: words.kinds[kind],
        barMaxWidth: 36,
        itemStyle: { color: `var(--chart-${kind})` },
        data: bars.map((bar) => bar[kind]),
      })),
    });
    return staticSvg(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** Takes out what only a script or a pointer would use, bars of no height, and inline styles. */
function staticSvg(svg: string): string {
  return svg
    .replace(/<style[\s\S]*?<\/style>/g, '')
    .replace(/ (?:class|ecmeta_\w+|pointer-events)="[^"]*"/g, '')
    .replace(/<path d="[^"]*l0 0l-[^"]*"[^>]*><\/path>\n?/g, '')
    .replace(/ style="([^"]*)"/g, (_, style: string) => asAttributes(style));
}

/** `font-size:12px;font-family:x` → `font-size="12px" font-family="x"`: SVG knows both spellings. */
function asAttributes(style: string): string {
  return style
    .split(';')
    .map((part) => part.split(':').map((text) => text.trim()))
    .filter(([name, value]) => value && /^(font|text|fill|stroke|dominant|opacity)/.test(name ?? ''))
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('');
}
