/** The compiled Worker of a thread: evaluated once, warm for every isolate of every world that runs there. */
import { CURRENT } from '../context.ts';
import { simulatedGlobals } from '../globals.ts';
import { compileEdge, type Edge } from './bundle.ts';

export interface Machine {
  readonly edge: Edge;
  /** module state as it is when an isolate starts */
  freshState(): object;
}

export function startMachine(bundle: string): Machine {
  const globals = simulatedGlobals();
  const edge = compileEdge(bundle)(globals);
  return {
    edge,
    freshState() {
      const before = CURRENT.state;
      const state = {};
      CURRENT.state = state;
      for (const init of globals.STATE_INITS) init();
      CURRENT.state = before;
      return state;
    },
  };
}
