/**
 * Stacked bars, drawn to SVG on the server. Colours are the stylesheet's variables, so both themes fit; ECharts' inline
 * styles become attributes, so that the page's policy can forbid inline styles.
 */
import { BarChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, GridComponent, SVGRenderer]);

export interface Series {
  readonly name: string;
  /** series of one stack stand on each other, stacks beside each other */
  readonly stack: string;
  /** a colour of CSS */
  readonly color: string;
  /** one for each label */
  readonly values: readonly number[];
}

/** Of a drawing, near the width at which it is shown, so that letters keep their size. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The page's column, and a phone's. */
export const WIDE: Size = { width: 1104, height: 280 };
export const SLIM: Size = { width: 390, height: 240 };

/** @returns an `<svg>` element without script or inline style */
export function drawBars(
  labels: readonly string[],
  series: readonly Series[],
  shown: Size & { axis: (value: number) => string; axisWidth: number },
): string {
  const { width, height, axis, axisWidth } = shown;
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    const text = { color: 'var(--muted)', fontSize: 12, fontFamily: 'sans-serif' };
    const line = { lineStyle: { color: 'var(--color-base-300)' } };
    chart.setOption({
      animation: false,
      grid: { left: axisWidth, right: 4, top: 10, bottom: 26 },
      xAxis: {
        type: 'category',
        data: [...labels],
        axisTick: { show: false },
        axisLine: line,
        axisLabel: text,
      },
      yAxis: {
        type: 'value',
        minInterval: 1,
        splitNumber: 4,
        axisLabel: { ...text, formatter: axis },
        splitLine: line,
      },
      series: series.map(({ name, stack, color, values }) => ({
        type: 'bar',
        stack,
        silent: true,
        name,
        barMaxWidth: 36,
        itemStyle: { color },
        data: [...values],
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
