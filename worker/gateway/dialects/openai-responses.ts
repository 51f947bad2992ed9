/** OpenAI's Responses, without a memory. */
import type { Dialect } from './dialect.ts';
import { ResponseEvents, WholeResponse } from './openai-responses-answer.ts';
import { readResponsesRequest } from './openai-responses-request.ts';

export const openaiResponses: Dialect = {
  read(body, headers) {
    const read = readResponsesRequest(body, headers);
    if (!read.ok) return read;
    const { request, fields } = read;
    return {
      ok: true,
      dialectRequest: {
        request,
        events: (head) => new ResponseEvents(head, fields),
        whole: (head) => new WholeResponse(head, fields),
      },
    };
  },
  errorBody: (envelope) => envelope,
};
