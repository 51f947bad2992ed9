/** The dialect of OpenAI's Responses API. */
import type { Dialect } from './dialect.ts';
import { responsesWords } from './error-words.ts';
import { responsesForm } from './openai-responses-form.ts';
import { RESPONSES_PARTS, ResponsesBody, readResponsesRequest } from './openai-responses-request.ts';
import { readableDialect } from './readable-dialect.ts';

const dialect: Dialect = {
  read(body, headers) {
    const parsed = readResponsesRequest(body, headers);
    if (!parsed.ok) return parsed;
    const { request, fields, tools } = parsed;
    return { ok: true, dialectRequest: { request, form: responsesForm(fields, tools) } };
  },
  words: responsesWords,
  errorBody: (envelope) => envelope,
};

export const openaiResponses = readableDialect(dialect, { schema: ResponsesBody, parts: RESPONSES_PARTS });
