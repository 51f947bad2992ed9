/** What the agent counts about itself, printed as Prometheus text. No label ever holds a caller's text. */
import type { Receipt } from '../protocol.ts';
import type { NodeErrorCode } from './refusal.ts';
import type { UsageAnomaly } from './sglang/usage.ts';

export class Metrics {
  readonly #counters = new Map<string, number>();

  receipt({ outcome, usage }: Receipt): void {
    this.#add(`tollgate_agent_requests_total{outcome="${outcome}"}`, 1);
    for (const kind of ['prompt', 'cached', 'completion', 'reasoning'] as const) {
      this.#add(`tollgate_agent_tokens_total{kind="${kind}"}`, usage[`${kind}_tokens`]);
    }
  }

  refusal(code: NodeErrorCode): void {
    this.#add(`tollgate_agent_refusals_total{code="${code}"}`, 1);
  }

  anomaly(kind: UsageAnomaly): void {
    this.#add(`tollgate_agent_usage_anomalies_total{kind="${kind}"}`, 1);
  }

  /** `gauges` by name, read at this instant. */
  print(gauges: Record<string, number>): string {
    const lines: string[] = [];
    const typed = new Set<string>();
    const line = (name: string, value: number, type: string) => {
      const family = name.split('{')[0] ?? name;
      if (!typed.has(family)) lines.push(`# TYPE ${family} ${type}`);
      typed.add(family);
      lines.push(`${name} ${value}`);
    };
    for (const name of [...this.#counters.keys()].sort())
      line(name, this.#counters.get(name) ?? 0, 'counter');
    for (const [name, value] of Object.entries(gauges)) line(name, value, 'gauge');
    return `${lines.join('\n')}\n`;
  }

  #add(name: string, by: number): void {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + by);
  }
}
