/** Assumptions about the engine that the conformance run cannot check, and why. */

export interface Unchecked {
  readonly says: string;
  readonly madeBy: string;
  readonly because: string;
}

export const UNCHECKED: readonly Unchecked[] = [
  {
    says: 'releases before 0.5.20 go on generating after a client has left (sglang#35255, #36333, #36876)',
    madeBy: 'gpu-pool/agent/sglang/version.ts, gpu-pool/agent/abort-watch.ts',
    because: 'it needs an engine that the agent refuses',
  },
  {
    says: 'older engines have /get_model_info and /get_load in place of /model_info and /v1/loads',
    madeBy: 'gpu-pool/agent/sglang/probe.ts, gpu-pool/agent/sglang/load.ts',
    because: 'it needs an engine that the agent refuses',
  },
  {
    says: 'each data-parallel rank takes the whole --max-queued-requests for itself, and loads are summed over ranks',
    madeBy: 'gpu-pool/agent/sglang/probe.ts, gpu-pool/agent/sglang/load.ts',
    because: 'it needs data parallelism, which no recipe uses',
  },
  {
    says: 'drafted tokens take slots of the context',
    madeBy: 'gpu-pool/agent/context-window.ts',
    because: 'it needs speculative decoding, which no recipe uses',
  },
  {
    says: 'a shared cache connector ignores salts (sglang#37160)',
    madeBy: 'gpu-pool/agent/sglang/faults.ts',
    because: 'it needs LMCache or a store for HiCache, with which the agent refuses the engine',
  },
  {
    says: 'an answer of a model that never opens a thought arrives as reasoning (sglang#4539)',
    madeBy: 'gpu-pool/agent/sglang/json-answer.ts',
    because: 'it depends on the weights; the emulator has it as the fault answer_in_reasoning',
  },
  {
    says: 'a hung scheduler’s loads stay as they were, and /health fails after 20 s',
    madeBy: 'gpu-pool/agent/engine-watch.ts',
    because:
      'it needs a signal to a process of the engine; docs/conformance.md has the figures of a run by hand',
  },
  {
    says: 'a long prefill makes /health late',
    madeBy: 'gpu-pool/agent/engine-watch.ts, gpu-pool/agent/sglang/load.ts',
    because: 'how late depends on the hardware; the measured prefill times tell',
  },
  {
    says: 'an engine reads its whole request before it answers, and keeps what a slow reader has not taken',
    madeBy: 'gpu-pool/agent/answer.ts',
    because: 'it is the memory of a process of the engine',
  },
  {
    says: 'requests are retracted when the cache is full, and go on afterwards',
    madeBy: 'gpu-pool/emulator/engine.ts',
    because:
      'the cache of a GPU node is too large to be filled by a check; queue/preempts shows a retraction for a higher priority',
  },
  {
    says: 'the speeds of each hardware',
    madeBy:
      'gpu-pool/emulator/profiles.ts, worker/domain/node-capacity.ts, worker/domain/routing/wait-estimate.ts',
    because: 'they are of GPUs; --json has the curves of the engine at hand',
  },
  {
    says: 'only rank 0 of several hosts answers HTTP',
    madeBy: 'gpu-pool/recipes/flags.ts',
    because: 'it needs two hosts',
  },
  {
    says: 'the engine logs both keys at level info (sglang#37457), and reads none from its environment (sglang#36346)',
    madeBy: 'gpu-pool/recipes/flags.ts',
    because: 'it is the log and the start of a process, not an answer',
  },
];
