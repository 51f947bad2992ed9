/**
 * Prompts that were tokenized, by their tokens: a request that sends the tokens in place of its messages is answered as one
 * with the messages. The emulator's tokens are hashes of which no text can be made.
 */
import type { ChatRequest } from './request.ts';

/** More than are ever between tokenizing and generating in a test. */
const KEPT = 2_000;

export class TokenPrompts {
  readonly #byTokens = new Map<string, ChatRequest>();

  keep(tokens: readonly number[], request: ChatRequest): void {
    this.#byTokens.set(tokens.join(), request);
    if (this.#byTokens.size <= KEPT) return;
    const [oldest] = this.#byTokens.keys();
    if (oldest !== undefined) this.#byTokens.delete(oldest);
  }

  /**
   * The request with the prompt that its tokens stand for; itself where it has none, or unknown ones. The engine is not told
   * of the prompt's tools: it makes no grammar of them, and leaves calls in the text.
   * @param parser name of the tool-call parser of the model's family
   */
  withPrompt(request: ChatRequest, parser: string | null): ChatRequest {
    const found = request.inputIds === null ? null : this.#find(request.inputIds);
    if (found === null) return request;
    const { messages, rawTools, tools, toolChoice } = found.prompt;
    const { continued } = found;
    return {
      ...request,
      ...{ messages, continued, rawTools },
      // A grammar of JSON leaves no room for calls, and only one of calls makes the model call.
      tools: request.responseFormat.type === 'text' ? tools : [],
      toolChoice: request.demandsCall ? toolChoice : 'auto',
      callMarkup: parser ?? 'deepseekv3',
    };
  }

  /** The prompt that the tokens are, or begin with; what follows it is a text that was tokenized too. */
  #find(inputIds: readonly number[]): { prompt: ChatRequest; continued: string | null } | null {
    const tokens = inputIds.join();
    const whole = this.#byTokens.get(tokens);
    if (whole) return { prompt: whole, continued: whole.continued };
    for (const [known, prompt] of this.#byTokens) {
      if (prompt.text !== null || !tokens.startsWith(`${known},`)) continue;
      const rest = this.#byTokens.get(tokens.slice(known.length + 1));
      if (rest?.text) return { prompt, continued: rest.text };
    }
    return null;
  }
}
