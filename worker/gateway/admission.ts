/** An admitted request: its hold, its price and what admission has decided for it. */
import type { Model } from '../db/catalogue.ts';
import type { ConversationHome } from '../domain/conversation.ts';
import type { RateLimitState, ScopedLimits } from '../domain/limits.ts';
import type { NanoUsd } from '../domain/money.ts';
import type { Price } from '../domain/pricing.ts';
import type { TokenCap } from '../domain/wallet.ts';
import type { RequestHold } from './hold/request-hold.ts';

export interface Admission {
  readonly requestId: string;
  readonly accountId: string;
  readonly hold: RequestHold;
  readonly model: Model;
  /** decided at admission, for the whole request */
  readonly price: Price;
  /** completion tokens of one choice */
  readonly maxTokens: number;
  readonly choices: number;
  /** Upper bound of the prompt's tokens by its bytes; it may exceed the model's context. A node that counts more is mistaken. */
  readonly promptTokensMax: number;
  /** The name of the prompt's field in the dialect, for error messages. */
  readonly promptField: string;
  /** the limits and the token that bind the hold */
  readonly limits: ScopedLimits;
  readonly token: TokenCap | null;
  readonly heldNanoUsd: NanoUsd;
  /** what the account could still hold beyond all that is held, within the balance and every cap */
  readonly availableNanoUsd: NanoUsd;
  readonly rateLimit: RateLimitState;
  /** affinity key of the conversation; see route.ts */
  readonly conversation: number;
  /** the node that gave the conversation's last answer; null: unknown */
  readonly home: ConversationHome | null;
}
