/** Every assumption that can be checked, by theme. */
import type { Assumption } from './assumption.ts';
import type { EdgeAssumption } from './edge-assumption.ts';
import { ABORT } from './rows/abort.ts';
import { BILLING } from './rows/billing.ts';
import { CONTINUING } from './rows/continuing.ts';
import { DESCRIPTION } from './rows/description.ts';
import { ERRORS_ROWS } from './rows/errors.ts';
import { JSON_ROWS } from './rows/json.ts';
import { LOAD } from './rows/load.ts';
import { PRODUCT } from './rows/product.ts';
import { QUEUE_ROWS } from './rows/queue.ts';
import { RAW_TEXT } from './rows/raw-text.ts';
import { REASONING } from './rows/reasoning.ts';
import { SALTS } from './rows/salt.ts';
import { STOP } from './rows/stop.ts';
import { STREAMS } from './rows/streams.ts';
import { THINKING_BUDGET } from './rows/thinking-budget.ts';
import { TOKENS } from './rows/tokens.ts';
import { TOOLS } from './rows/tools.ts';

/** Those that the engine is asked about directly. */
export const DIRECT: readonly Assumption[] = [
  ...DESCRIPTION,
  ...LOAD,
  ...STREAMS,
  ...REASONING,
  ...RAW_TEXT,
  ...TOOLS,
  ...JSON_ROWS,
  ...STOP,
  ...ABORT,
  ...QUEUE_ROWS,
  ...SALTS,
  ...ERRORS_ROWS,
  ...TOKENS,
  ...CONTINUING,
  ...THINKING_BUDGET,
];

/** Those that need agent and edge in front of the engine. */
export const THROUGH_EDGE: readonly EdgeAssumption[] = [...PRODUCT, ...BILLING];
