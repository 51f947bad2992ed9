/** A flag of the engine, and a flag with the value that a host's recipe sets. */
import type { Hardware } from '../protocol/schemas.ts';
import type { Recipe } from './recipe.ts';

export type Scalar = string | number;

export interface Flag {
  name: `--${string}`;
  /**
   * true: a switch. A record lists the hardware for which the flag is set; it is left out for others.
   */
  value:
    | true
    | Scalar
    | { byHardware: Partial<Record<Hardware, Scalar>> }
    /** A value that is known only when a recipe is written; undefined: this host does not get the flag. */
    | { byHost: (recipe: Recipe) => Scalar | undefined };
  /**
   * Set for flags that reach the engine in a file that only root reads, because every user of a host sees
   * arguments.
   */
  secret?: true;
  /** The value suits most models, and a profile may set another. */
  byDefault?: true;
  /** The reason in one line, printed above the flag in what is generated. */
  why: string;
  source: string;
}

export interface SetFlag {
  flag: Flag;
  value: true | Scalar;
}
