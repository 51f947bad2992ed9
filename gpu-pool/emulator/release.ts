/** Differences between the emulated releases of SGLang. Without a flag of its own a release answers as its neighbour. */

export const RECOMMENDED_RELEASE = '0.5.23';

export interface ReleaseTraits {
  /** Usage repeats `reasoning_tokens` where OpenAI has it (`completion_tokens_details`). */
  completionDetails: boolean;
  /** Usage says of a prompt without cached tokens that there are 0; before, its details were null. */
  cachedZero: boolean;
  /** A message without calls has `tool_calls: null`; later the member is left out. */
  toolCallsNull: boolean;
  /** Definitions of tools reach the prompt as the client wrote them; before, with every field of SGLang's own. */
  toolsAsWritten: boolean;
  /** A whole call's `index` is its tool's place among the request's; later, its own among the calls. */
  callsNumberedByTool: boolean;
}

/** The traits of a version, numbers above the third ignored. */
export function traitsOf(version: string): ReleaseTraits {
  const isLater = compare(version, '0.5.23') >= 0;
  return {
    completionDetails: isLater,
    cachedZero: isLater,
    toolCallsNull: !isLater,
    toolsAsWritten: isLater,
    callsNumberedByTool: !isLater,
  };
}

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map((part) => Number.parseInt(part, 10)));
  const at = left!.findIndex((part, index) => part !== right![index]);
  return at === -1 ? 0 : left![at]! - right![at]!;
}
