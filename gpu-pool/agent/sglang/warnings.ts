/** Warnings about an engine that may be sold all the same: sentences for its operator that name what to change. */
import { leftToEngine } from '../parse/formats.ts';
import { printable } from '../start-refused.ts';
import type { EngineFacts } from './probe.ts';
import { judgeVersion, VERSION_RECOMMENDED } from './version.ts';

/**
 * Tokens of a prefill step up to which a hang within one is noticed as soon as any other, at 12,000 tokens a second, the
 * least of emulator/profiles.ts: eight times the step is as long as the silence that makes a hang (engine-pulse.ts).
 */
export const STEP_TOKENS_MAX = 8_192;

/** The warnings about an engine; empty where there is nothing to say. */
export function findWarnings(facts: EngineFacts): string[] {
  return [outdatedVersion(facts), longSteps(facts), foreignParsers(facts)].filter(
    (warning) => warning !== null,
  );
}

function outdatedVersion({ info }: EngineFacts): string | null {
  return judgeVersion(info.version) === 'outdated'
    ? `SGLang ${printable(info.version)} can keep the states of ended requests for ever, and then does not end on SIGTERM: install ${VERSION_RECOMMENDED} or newer.`
    : null;
}

function longSteps({ settings }: EngineFacts): string | null {
  const { chunked_prefill_size: tokens } = settings;
  if (tokens === null || (tokens > 0 && tokens <= STEP_TOKENS_MAX)) return null;
  const step = tokens > 0 ? `of up to ${tokens} tokens` : 'of a whole prompt';
  return `A prefill step ${step} looks like a hang while it lasts, so that a real one is noticed late: start SGLang with --chunked-prefill-size ${STEP_TOKENS_MAX} or less.`;
}

function foreignParsers({ settings }: EngineFacts): string | null {
  const left = leftToEngine({ reasoning: settings.reasoning_parser, tools: settings.tool_call_parser });
  return left.length === 0
    ? null
    : `This agent has no parser of its own for ${left.map((flag) => printable(flag, 160)).join(' and ')}, and leaves answers to the engine’s, which can differ with the chunks in which they were generated.`;
}
