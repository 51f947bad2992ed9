/** Prometheus' text format 0.0.4: counters by one label, gauges, histograms. Every series exists from the start. */

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Counts by the values of `label`. All values are known beforehand, so that a rate never begins at its first event.
 */
export class Counter<Value extends string> {
  readonly #name: string;
  readonly #help: string;
  readonly #label: string;
  readonly #counts: Map<Value, number>;

  constructor(name: string, help: string, labels: { label: string; values: readonly Value[] }) {
    this.#name = name;
    this.#help = help;
    this.#label = labels.label;
    this.#counts = new Map(labels.values.map((value) => [value, 0]));
  }

  add(value: Value, amount = 1): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + amount);
  }

  print(): string {
    const series = [...this.#counts].map(
      ([value, count]) => `${sample(this.#name, { [this.#label]: value }, count)}`,
    );
    return family(this.#name, this.#help, 'counter', series);
  }
}

export class Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  /** Observations up to each bound, those of smaller bounds included. */
  readonly #cumulative: number[];
  #count = 0;
  #sum = 0;

  /** `bounds` are upper bounds in ascending order, without +Inf. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#cumulative = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#count += 1;
    this.#sum += value;
    for (const [index, bound] of this.#bounds.entries()) {
      if (value <= bound) this.#cumulative[index] = (this.#cumulative[index] ?? 0) + 1;
    }
  }

  print(): string {
    const buckets = this.#bounds.map((bound, index) =>
      sample(`${this.#name}_bucket`, { le: String(bound) }, this.#cumulative[index] ?? 0),
    );
    return family(this.#name, this.#help, 'histogram', [
      ...buckets,
      sample(`${this.#name}_bucket`, { le: '+Inf' }, this.#count),
      sample(`${this.#name}_sum`, {}, this.#sum),
      sample(`${this.#name}_count`, {}, this.#count),
    ]);
  }
}

export function gauge(
  name: string,
  help: string,
  value: number,
  labels: Record<string, string> = {},
): string {
  return family(name, help, 'gauge', [sample(name, labels, value)]);
}

function family(
  name: string,
  help: string,
  type: 'counter' | 'gauge' | 'histogram',
  series: string[],
): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...series, ''].join('\n');
}

function sample(name: string, labels: Record<string, string>, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
