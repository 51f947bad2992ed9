/**
 * Faults of an engine that keep its answers from being sold, as sentences for its operator that name the flag to
 * change. Pure: the table below is everything that a node requires of SGLang's arguments.
 */

import { CONTEXT_RESERVE, longestPrompt } from '../../protocol/constants.ts';
import type { ModelProfile } from '../../protocol/model-profile.ts';
import { printable } from '../start-refused.ts';
import { type EngineFacts, roomTokens } from './probe.ts';
import { PRIORITY } from './request.ts';
import { judgeVersion, VERSION_MIN } from './version.ts';

export interface EngineRequirements {
  /** A version to accept although it looks too old or like no version. */
  version?: string | undefined;
  /** Revision of the weights; default: any. */
  revision?: string | undefined;
  /** `model_path` values that this node may serve; undefined before it has enrolled: any. */
  modelPaths?: readonly string[] | undefined;
  /** The model's profile; undefined where the edge has not told it: then nothing that depends on the model is checked. */
  profile?: ModelProfile | undefined;
  /** The longest prompt that the edge sells, in tokens; undefined until it has named one. */
  contextTokens?: number | undefined;
}

type Check = (facts: EngineFacts, required: EngineRequirements) => string | null;

const CHECKS: readonly Check[] = [
  version,
  model,
  revision,
  reasoningParser,
  toolCallParser,
  chatTemplate,
  cacheReport,
  radixCache,
  queue,
  priorityScheduling,
  contextLength,
  requestLogging,
  sharedCache,
  unpickling,
];

/** Every fault, the most telling first; empty where the engine meets the requirements. */
export function findFaults(facts: EngineFacts, required: EngineRequirements): string[] {
  return CHECKS.map((check) => check(facts, required)).filter((fault) => fault !== null);
}

function version({ info }: EngineFacts, required: EngineRequirements): string | null {
  const verdict = judgeVersion(info.version);
  if (verdict === 'fits' || verdict === 'outdated' || info.version === required.version) return null;
  const found = printable(info.version);
  return verdict === 'old'
    ? `SGLang ${found} keeps generating after a client disconnects (sglang#35255): install ${VERSION_MIN} or newer, or pass --accept-engine-version ${found} to this agent if that build has the fix.`
    : `SGLang reports an unrecognised version (${found}): install ${VERSION_MIN} or newer, or pass --accept-engine-version ${found} to this agent if it is new enough.`;
}

function model({ info }: EngineFacts, { modelPaths }: EngineRequirements): string | null {
  if (modelPaths === undefined || modelPaths.includes(info.model_path)) return null;
  return `The engine serves ${printable(info.model_path)}, which is not this node's model: start SGLang with --model-path ${modelPaths.map((path) => printable(path)).join(' or ')}.`;
}

function revision({ info, settings }: EngineFacts, required: EngineRequirements): string | null {
  // A snapshot of the Hugging Face cache is named after its commit.
  const found = settings.revision ?? info.model_path.split('/').at(-1);
  if (required.revision === undefined || required.revision === found) return null;
  const instead =
    settings.revision === null ? 'no pinned revision' : `revision ${printable(settings.revision)}`;
  return `The engine serves ${instead} of the weights: start SGLang with --revision ${printable(required.revision)}.`;
}

function reasoningParser(
  { settings: { reasoning_parser: found } }: EngineFacts,
  { profile }: EngineRequirements,
): string | null {
  if (profile === undefined || found === profile.parsers.reasoning) return null;
  const { reasoning } = profile.parsers;
  return reasoning === null
    ? 'The model does not reason, and a parser could take its answers for reasoning: start SGLang without --reasoning-parser.'
    : `Reasoning would be returned as part of the answer: start SGLang with --reasoning-parser ${reasoning}.`;
}

function toolCallParser(
  { settings: { tool_call_parser: found } }: EngineFacts,
  { profile }: EngineRequirements,
): string | null {
  if (profile === undefined || found === profile.parsers.tools) return null;
  const { tools } = profile.parsers;
  return tools === null
    ? 'The model is sold without tools, and a parser could take its answers for calls: start SGLang without --tool-call-parser.'
    : `Tool calls would be returned as text of the answer: start SGLang with --tool-call-parser ${tools}.`;
}

/** Templates are compared by the file's name: where SGLang keeps them depends on how it was installed. */
function chatTemplate(
  { settings: { chat_template: found } }: EngineFacts,
  { profile }: EngineRequirements,
): string | null {
  if (profile === undefined || fileName(found) === fileName(profile.chatTemplate)) return null;
  return profile.chatTemplate === null
    ? 'The engine would render conversations otherwise than the model was trained: start SGLang without --chat-template.'
    : `The model would not be told how to call tools: start SGLang with --chat-template ${printable(profile.chatTemplate, 256)}.`;
}

function fileName(path: string | null): string | null {
  return path?.split('/').at(-1) ?? null;
}

function requestLogging({ settings }: EngineFacts): string | null {
  if (settings.log_requests)
    return 'Requests would be written to the engine’s log: start SGLang without --log-requests.';
  return settings.crash_dump_folder
    ? 'A crash would write customers’ prompts to a file: start SGLang without --crash-dump-folder.'
    : null;
}

/** A cache that several engines share knows no `cache_salt`, so that accounts would share it too (sglang#37160). */
function sharedCache({ settings }: EngineFacts): string | null {
  const flag = settings.enable_lmcache
    ? '--enable-lmcache'
    : settings.hicache_storage_backend && '--hicache-storage-backend';
  return flag
    ? `Accounts would share cached prompts through the cache’s connector: start SGLang without ${flag}.`
    : null;
}

function unpickling({ settings }: EngineFacts): string | null {
  return settings.enable_custom_logit_processor
    ? 'The engine would run code out of requests: start SGLang without --enable-custom-logit-processor.'
    : null;
}

function cacheReport({ settings }: EngineFacts): string | null {
  return settings.enable_cache_report
    ? null
    : 'Cached tokens would be billed as uncached: start SGLang with --enable-cache-report.';
}

function radixCache({ settings }: EngineFacts): string | null {
  return settings.disable_radix_cache
    ? 'Every turn of a conversation would be recomputed from the start: start SGLang without --disable-radix-cache.'
    : null;
}

function contextLength(
  { settings }: EngineFacts,
  { contextTokens, profile }: EngineRequirements,
): string | null {
  const room = roomTokens(settings);
  if (contextTokens === undefined || room === null || longestPrompt(room) >= contextTokens) return null;
  const { context_length: length, max_total_num_tokens: cache } = settings;
  const sold = `Prompts of ${contextTokens} tokens are sold, and the engine`;
  const needed = contextTokens + CONTEXT_RESERVE;
  const ofWeights = profile?.contextLength ?? Number.POSITIVE_INFINITY;
  if (ofWeights <= needed)
    return `${sold} cannot have a context of more than ${ofWeights}, which is the weights’ own: sell prompts of at most ${longestPrompt(ofWeights)} tokens (the model’s context_tokens).`;
  return cache !== null && cache <= needed && (length === null || length > needed)
    ? `${sold} has a KV cache of ${cache} tokens: start SGLang with a higher --mem-fraction-static or on more GPUs, so that it holds more than ${needed}.`
    : `${sold} has a context of ${room} for prompt and answer together: start SGLang with a --context-length of more than ${needed}, or without it.`;
}

/** Where one of these is wrong, an interactive request waits until an answer of a batch has ended. */
function priorityScheduling({ settings }: EngineFacts): string | null {
  const difference = PRIORITY.interactive - PRIORITY.background;
  const instead = () => {
    if (!settings.enable_priority_scheduling) return 'with --enable-priority-scheduling';
    if (settings.schedule_low_priority_values_first) return 'without --schedule-low-priority-values-first';
    if (settings.disable_priority_preemption) return 'without --disable-priority-preemption';
    if (settings.priority_scheduling_preemption_threshold >= difference)
      return `with a --priority-scheduling-preemption-threshold below ${difference}, or without it`;
    return null;
  };
  const change = instead();
  return change === null
    ? null
    : `Interactive requests would wait behind answers of batches: start SGLang ${change}.`;
}

/** The most choices of a request (protocol/schemas.ts), each of which takes a place in the queue. */
const CHOICES_MAX = 8;

function queue({ settings }: EngineFacts): string | null {
  const { max_queued_requests: places } = settings;
  if (places === null)
    return 'The engine’s queue is unlimited, so requests would wait there while other nodes are free: start SGLang with --max-queued-requests 256.';
  return places < CHOICES_MAX
    ? `A request of ${CHOICES_MAX} choices would never fit the engine’s queue of ${places}: start SGLang with --max-queued-requests ${CHOICES_MAX} or more.`
    : null;
}
