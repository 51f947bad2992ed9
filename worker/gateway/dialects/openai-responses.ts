/** The dialect of OpenAI's Responses API, without its stored state. */
import type { Dialect } from './dialect.ts';
import { responsesWords } from './error-words.ts';
import { ResponseEvents, WholeResponse } from './openai-responses-answer.ts';
import { readResponsesRequest } from './openai-responses-request.ts';

export const openaiResponses: Dialect = {
  read(body, headers) {
    const parsed = readResponsesRequest(body, headers);
    if (!parsed.ok) return parsed;
    const { request, fields } = parsed;
    return {
      ok: true,
      dialectRequest: {
        request,
        events: (head) => new ResponseEvents(head, fields),
        whole: (head) => new WholeResponse(head, fields),
      },
    };
  },
  words: responsesWords,
  errorBody: (envelope) => envelope,
};
