/** The compiled Worker of a thread. It is evaluated once, so V8 has optimized it for every world that runs later. */
import { CURRENT } from '../context.ts';
import { simulatedGlobals } from '../globals.ts';
import { compileEdge, type Edge } from './bundle.ts';

export interface Machine {
  readonly edge: Edge;
  /** @returns module state as it is when an isolate starts */
  freshState(): object;
}

export function startMachine(bundle: string): Machine {
  const globals = simulatedGlobals();
  const edge = compileEdge(bundle)(globals);
  return {
    edge,
    freshState() {
      const previous = CURRENT.state;
      const state = {};
      CURRENT.state = state;
      for (const init of globals.STATE_INITS) init();
      CURRENT.state = previous;
      return state;
    },
  };
}
