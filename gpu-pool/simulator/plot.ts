/**
 * Draws the figures as one SVG: hit rate and TTFT of every policy, over the size of the pool where several sizes
 * were replayed.
 */
import * as echarts from 'echarts';
import type { Row } from './print.ts';

const WIDTH = 960;
const HEIGHT = 460;

export function plot(rows: readonly Row[], ceiling: ReadonlyMap<number, number>): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption(ceiling.size > 1 ? overSizes(rows, ceiling) : ofPolicies(rows, [...ceiling.values()][0]!));
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

const TWO_GRIDS = [
  { left: 190, top: 50, width: 300, bottom: 45 },
  { left: 590, top: 50, right: 30, bottom: 45 },
];

function ofPolicies(rows: readonly Row[], ceiling: number): echarts.EChartsCoreOption {
  const names = rows.map(({ policy }) => policy).reverse();
  const values = (of: (row: Row) => number) => rows.map(of).reverse();
  return {
    animation: false,
    title: [
      { text: 'Prompt tokens found in a cache, %', left: 190 },
      { text: 'Time to first token, p50 and p99, s', left: 590 },
    ],
    grid: TWO_GRIDS,
    xAxis: [
      { gridIndex: 0, type: 'value', min: 0 },
      { gridIndex: 1, type: 'log' },
    ],
    yAxis: [
      { gridIndex: 0, type: 'category', data: names },
      { gridIndex: 1, type: 'category', data: names, axisLabel: { show: false } },
    ],
    series: [
      {
        type: 'bar',
        data: values(({ figures }) => 100 * figures.hitRate),
        markLine: {
          symbol: 'none',
          label: { formatter: 'ceiling' },
          data: [{ xAxis: 100 * ceiling }],
        },
      },
      ...(['ttftP50Ms', 'ttftP99Ms'] as const).map((figure) => ({
        name: figure === 'ttftP50Ms' ? 'p50' : 'p99',
        type: 'bar',
        xAxisIndex: 1,
        yAxisIndex: 1,
        data: values(({ figures }) => figures[figure] / 1_000),
      })),
    ],
  };
}

function overSizes(rows: readonly Row[], ceiling: ReadonlyMap<number, number>): echarts.EChartsCoreOption {
  const policies = [...new Set(rows.map(({ policy }) => policy))];
  const lines = (index: 0 | 1, of: (row: Row) => number) =>
    policies.map((policy) => ({
      name: policy,
      type: 'line',
      xAxisIndex: index,
      yAxisIndex: index,
      data: rows.filter((row) => row.policy === policy).map((row) => [row.nodes, of(row)]),
    }));
  return {
    animation: false,
    title: [
      { text: 'Prompt tokens found in a cache, %', left: 60 },
      { text: 'Time to first token, p99, s', left: 530 },
    ],
    legend: { bottom: 0 },
    grid: [
      { left: 60, top: 50, width: 390, bottom: 80 },
      { left: 530, top: 50, right: 30, bottom: 80 },
    ],
    xAxis: [0, 1].map((gridIndex) => ({
      gridIndex,
      type: 'log',
      name: 'nodes',
      nameLocation: 'middle',
      nameGap: 25,
    })),
    yAxis: [
      { gridIndex: 0, type: 'value', min: 0 },
      { gridIndex: 1, type: 'log' },
    ],
    series: [
      ...lines(0, ({ figures }) => 100 * figures.hitRate),
      ...lines(1, ({ figures }) => figures.ttftP99Ms / 1_000),
      {
        name: 'ceiling',
        type: 'line',
        lineStyle: { type: 'dashed' },
        data: [...ceiling].map(([nodes, rate]) => [nodes, 100 * rate]),
      },
    ],
  };
}
