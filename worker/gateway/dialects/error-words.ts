/**
 * The words of errors on which clients of a dialect act. An agent that meets a prompt that is too long shortens its
 * conversation and goes on, if it recognizes the error; each looks for the words of the API that it was written for.
 * tests/domain/client-errors.test.ts names the clients, their versions and what they match.
 */
import { formatUsd } from '../../domain/money.ts';
import { type ApiError, countOf, isModelName, uncharged } from '../../http/api-error.ts';
import type { ErrorWords } from './dialect.ts';

/**
 * Anthropic's words. `prompt is too long: A tokens > B maximum`: Claude Code reads both numbers and drops as much of the
 * conversation as their difference says. `model: NAME` is how it tells an unknown model from an unknown path.
 */
export function messagesWords(error: ApiError): ErrorWords {
  switch (error.reason) {
    case 'context_length_exceeded': {
      const { promptTokens, contextTokens } = error;
      const numbers = `${countOf(promptTokens)} tokens > ${contextTokens} maximum`;
      return { message: `prompt is too long: ${numbers}. ${uncharged(error)}` };
    }
    case 'model_not_found':
      return { lead: isModelName(error.requested) ? `model: ${error.requested}.` : 'model: not found.' };
    case 'model_ended':
    case 'model_forbidden':
      return { lead: `model: ${error.model}.` };
    case 'unauthenticated':
      return { lead: 'invalid x-api-key.' };
    case 'insufficient_balance':
      return { lead: `Your credit balance is too low: $${formatUsd(error.availableNanoUsd)} is left.` };
    default:
      return {};
  }
}

/**
 * Words of OpenAI's Responses API. Codex takes 503 with the code `server_is_overloaded` for a model at capacity and says
 * so once its retries are used up; with any other code it shows the body.
 */
export function responsesWords(error: ApiError): ErrorWords {
  switch (error.reason) {
    case 'context_length_exceeded':
      return {
        lead: 'Your input exceeds the context window of this model. Please adjust your input and try again.',
      };
    case 'overloaded':
    case 'model_not_available':
      return { code: 'server_is_overloaded' };
    default:
      return {};
  }
}
