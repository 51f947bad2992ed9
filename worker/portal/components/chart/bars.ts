/**
 * Stacked bars, drawn as SVG on the server. Colours are variables of the style sheet, so the chart follows the theme.
 * ECharts' inline styles are turned into attributes, because the pages' content security policy forbids inline styles.
 */
import { BarChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, GridComponent, SVGRenderer]);

export interface Series {
  readonly name: string;
  /** series with the same stack are stacked on each other; different stacks stand side by side */
  readonly stack: string;
  /** a CSS colour */
  readonly color: string;
  /** one value per label */
  readonly values: readonly number[];
}

/** The size of a drawing in px. It is close to the displayed size, so that labels are not scaled. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The width of the page's content on a desktop, and on a phone. */
export const WIDE: Size = { width: 1104, height: 280 };
export const SLIM: Size = { width: 390, height: 240 };

/** @returns an `<svg>` element without script or inline style */
export function drawBars(
  labels: readonly string[],
  series: readonly Series[],
  options: Size & { axis: (value: number) => string; axisWidth: number },
): string {
  const { width, height, axis, axisWidth } = options;
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

/** Removes parts that only scripts or pointers use and bars of zero height, and turns inline styles into attributes. */
function staticSvg(svg: string): string {
  return svg
    .replace(/<style[\s\S]*?<\/style>/g, '')
    .replace(/ (?:class|ecmeta_\w+|pointer-events)="[^"]*"/g, '')
    .replace(/<path d="[^"]*l0 0l-[^"]*"[^>]*><\/path>\n?/g, '')
    .replace(/ style="([^"]*)"/g, (_, style: string) => asAttributes(style));
}

/** `font-size:12px;font-family:x` → `font-size="12px" font-family="x"`, which SVG treats alike. */
function asAttributes(style: string): string {
  return style
    .split(';')
    .map((part) => part.split(':').map((text) => text.trim()))
    .filter(([name, value]) => value && /^(font|text|fill|stroke|dominant|opacity)/.test(name ?? ''))
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('');
}
