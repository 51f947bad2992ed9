/** The capacity planner: what a pool costs, what it can do, and what remains of each million tokens sold. */
import { CAPACITY_TOKENS_PER_SECOND } from '../../worker/domain/node-capacity.ts';
import { PROFILES } from '../emulator/profiles.ts';
import type { Hardware } from '../protocol/schemas.ts';

export interface Pool {
  readonly nodes: Readonly<Partial<Record<Hardware, number>>>;
  /** USD for one GPU and hour, by hardware. */
  readonly gpuHourUsd: Readonly<Record<Hardware, number>>;
}

/** The tokens sold in a day, and their prices. */
export interface Sales {
  readonly promptTokensPerDay: number;
  readonly outputTokensPerDay: number;
  /** Share of prompt tokens found in a cache, 0 to 1. */
  readonly hitRate: number;
  /** USD per million tokens. */
  readonly hitUsd: number;
  readonly missUsd: number;
  readonly outputUsd: number;
}

export interface Plan {
  readonly gpus: number;
  readonly costPerDayUsd: number;
  /**
   * Share of the pool's time that the work takes: prefill and decode, each at its hardware's speed. Above 1 the
   * work does not fit.
   */
  readonly utilisation: number;
  readonly revenuePerDayUsd: number;
  /** Per million tokens sold, prompt and output together. */
  readonly costPerMillionUsd: number;
  readonly revenuePerMillionUsd: number;
  readonly marginPerMillionUsd: number;
  /** Margin ÷ revenue. */
  readonly margin: number;
  /** The utilisation at which revenue pays for the GPUs, with this mix of tokens. */
  readonly breakEvenUtilisation: number;
}

const SECONDS_PER_DAY = 86_400;

export function plan(pool: Pool, sales: Sales): Plan {
  const nodes = (Object.entries(pool.nodes) as [Hardware, number][]).filter(([, count]) => count > 0);
  const total = (of: (hardware: Hardware) => number) =>
    nodes.reduce((sum, [hardware, count]) => sum + count * of(hardware), 0);
  const gpus = total((hardware) => PROFILES[hardware].gpus);
  const costPerDayUsd = 24 * total((hardware) => PROFILES[hardware].gpus * pool.gpuHourUsd[hardware]);

  const { promptTokensPerDay: prompt, outputTokensPerDay: output, hitRate } = sales;
  const prefillShare = (prompt * (1 - hitRate)) / total((each) => PROFILES[each].prefillTokensPerSecond);
  const decodeShare = output / total((each) => CAPACITY_TOKENS_PER_SECOND[each]);
  const utilisation = (prefillShare + decodeShare) / SECONDS_PER_DAY;

  const revenuePerDayUsd =
    (prompt * hitRate * sales.hitUsd + prompt * (1 - hitRate) * sales.missUsd + output * sales.outputUsd) /
    1e6;
  const millions = (prompt + output) / 1e6;
  return {
    gpus,
    costPerDayUsd,
    utilisation,
    revenuePerDayUsd,
    costPerMillionUsd: costPerDayUsd / millions,
    revenuePerMillionUsd: revenuePerDayUsd / millions,
    marginPerMillionUsd: (revenuePerDayUsd - costPerDayUsd) / millions,
    margin: (revenuePerDayUsd - costPerDayUsd) / revenuePerDayUsd,
    breakEvenUtilisation: (utilisation * costPerDayUsd) / revenuePerDayUsd,
  };
}
