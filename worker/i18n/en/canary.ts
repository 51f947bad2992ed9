/** Canary tests on the pool page, in English: how a node was tested, what went wrong, and what to do. */
import type { CanaryFault } from '../../domain/canary.ts';

export const canaryEn = {
  waiting:
    'Receives no customer traffic until it passes a canary test. The first test runs after its next heartbeat.',
  held: 'Held back: it finishes running requests and takes no new ones. After you restore it, it must first pass a canary test.',
  asking: (at: string) => `Canary test of ${at} UTC: running.`,
  receiptAwaited: (at: string) => `Canary test of ${at} UTC: answered; waiting for the node’s receipt.`,
  passed: (at: string) => `Canary test passed, ${at} UTC.`,
  failed: (at: string, fault: string) => `Canary test of ${at} UTC failed: ${fault}`,
  triedAgain: 'It is retried automatically, with a longer wait after each failure.',
  counts: (prompt: string, cached: string, completion: string, reasoning: string) =>
    `Prompt: ${prompt} tokens, ${cached} of them cached. Answer: ${completion} tokens, ${reasoning} of them reasoning.`,
  faults: {
    unreachable:
      'nothing responds at its URL. Check that the agent is running and that its URL, tunnel and certificate are correct.',
    not_an_agent:
      'its URL does not lead to the agent but to a redirect or another page. Make the tunnel or proxy pass everything through.',
    refused_unauthorized:
      'the agent rejected the edge’s token. Check the node’s clock, and that the agent fetches its keys from this edge.',
    refused_bad_request: 'the agent or the engine rejected the request as invalid. Update both.',
    refused_overloaded: 'it accepts no requests: it is full, draining, or cannot write its journal.',
    refused_engine_failed: 'its engine failed. Check the SGLang log.',
    refused_engine_timeout: 'its engine sent no token in time. Check the SGLang log.',
    first_token_late:
      'no token within 30 seconds. Wait for the engine to warm up; if this persists, check the SGLang log.',
    broken_off:
      'the answer was cut off. Check the agent’s log, and whether a proxy in between buffers or closes streams.',
    prompt_tokens: 'its prompt token count is impossible for the prompt. Check the chat template.',
    prompt_differs:
      'it counted the same prompt differently twice. Check that a single engine answers at its URL.',
    nothing_cached:
      'the repeated prompt was not found in the prefix cache. Start SGLang with --enable-cache-report and keep the radix cache enabled.',
    no_reasoning: 'the answer had no reasoning. Start SGLang with the model’s --reasoning-parser.',
    only_reasoning:
      'the answer came as reasoning, though the model does not think. Start SGLang without --reasoning-parser.',
    no_tool_call:
      'a tool call that was demanded did not come as a call. Start SGLang with the model’s --tool-call-parser, and check the chat template.',
    not_json:
      'an answer did not follow its JSON schema. Start SGLang without --grammar-backend none, and check its --reasoning-parser.',
    context_short:
      'its engine takes no prompt as long as those that are sold. The agent’s log says which flag to change: --context-length, or --mem-fraction-static for a larger KV cache.',
    completion_tokens:
      'it counted no tokens, or more than the limit. Check the versions of SGLang and the agent.',
    receipt_differs:
      'the counts in its receipt differ from those in its answer. Do not trust the node until you know why; update the agent.',
    receipt_missing: 'its receipt did not arrive. Check the agent’s log for heartbeat errors.',
    interrupted: 'the test was interrupted on the edge.',
    engine_changed: 'the engine changed during the test.',
    withdrawn: 'the node’s state was changed during the test.',
  } satisfies Record<CanaryFault, string> as Record<CanaryFault, string>,
};
