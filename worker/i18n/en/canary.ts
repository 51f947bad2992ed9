/** The pool page's words for canaries in English: how a node was tried, what was wrong, and what to do. */
import type { CanaryFault } from '../../domain/canary.ts';

export const canaryEn = {
  waiting: 'No customer is sent here before a canary has passed. The first try follows its next heartbeat.',
  held: 'Held back: it finishes what runs and takes nothing new. Restored, it is tried by a canary first.',
  asking: (at: string) => `Canary of ${at} UTC: being asked.`,
  receiptAwaited: (at: string) => `Canary of ${at} UTC: answered; the node’s receipt is awaited.`,
  passed: (at: string) => `Canary passed, ${at} UTC.`,
  failed: (at: string, fault: string) => `Canary of ${at} UTC failed: ${fault}`,
  triedAgain: 'It is tried again by itself, after a while that grows with each failure.',
  counts: (prompt: string, cached: string, completion: string, reasoning: string) =>
    `Prompt ${prompt} tokens, ${cached} of them cached; answer ${completion}, ${reasoning} of them reasoning.`,
  faults: {
    unreachable:
      'nothing answers at its address. Check that the agent runs and that its URL, tunnel and certificate are right.',
    not_an_agent:
      'what answers at its address is not the agent: a redirect, or a page of something in front of it. Let the tunnel or proxy pass everything through.',
    refused_unauthorized:
      'the agent does not trust the edge’s token. Check the node’s clock, and that it reads its keys from this edge.',
    refused_bad_request: 'the agent or the engine does not understand the request. Bring both up to date.',
    refused_overloaded: 'it takes no requests: it is full, draining, or cannot write its journal.',
    refused_engine_failed: 'its engine failed. Look at SGLang’s log.',
    refused_engine_timeout: 'its engine sent no token in time. Look at SGLang’s log.',
    first_token_late:
      'no token within 30 seconds. Wait until the engine has warmed up; if it stays, look at SGLang’s log.',
    broken_off:
      'the answer broke off before its end. Look at the agent’s log, and for something between that collects or cuts streams.',
    prompt_tokens:
      'it counted more or fewer prompt tokens than the prompt can have. Check the chat template.',
    prompt_differs: 'it counted the same prompt in two ways. Is it one engine that answers?',
    nothing_cached:
      'the same prompt, asked again, was not found in the prefix cache. Start SGLang with --enable-cache-report and leave the radix cache on.',
    no_reasoning: 'no reasoning came. Start SGLang with --reasoning-parser deepseek-r1.',
    completion_tokens:
      'it counted more tokens than were asked for, or none. Check the versions of SGLang and agent.',
    receipt_differs:
      'its receipt says other counts than its answer did. Do not trust it before you know why; bring the agent up to date.',
    receipt_missing: 'its receipt did not come. Look for heartbeat errors in the agent’s log.',
    interrupted: 'it was interrupted on our side.',
    engine_changed: 'the engine was changed meanwhile.',
    withdrawn: 'you changed the node’s state meanwhile.',
  } satisfies Record<CanaryFault, string> as Record<CanaryFault, string>,
};
