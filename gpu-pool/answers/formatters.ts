/** The formatters of every dialect. */
import type { AnswerFormat } from '../protocol/answer-format.ts';
import { ChatEnding, ChatStream, endOfChat, WholeChat } from './chat.ts';
import { endOfText, TextEnding, TextStream, WholeText } from './completions.ts';
import type { AnswerEnd, StreamEnding, StreamFormatter, WholeFormatter } from './formatter.ts';
import { endOfMessage, MessageEnding, MessageStream, WholeMessage } from './messages.ts';
import { endOfResponse, ResponseEnding, ResponseStream, WholeResponse } from './responses.ts';

/** Writes a streamed answer, at the agent. */
export function streamFormatter(format: AnswerFormat): StreamFormatter {
  switch (format.dialect) {
    case 'chat':
      return new ChatStream(format);
    case 'completions':
      return new TextStream(format);
    case 'messages':
      return new MessageStream(format);
    case 'responses':
      return new ResponseStream(format);
  }
}

/** Assembles a whole answer, at the agent. */
export function wholeFormatter(format: AnswerFormat): WholeFormatter {
  switch (format.dialect) {
    case 'chat':
      return new WholeChat(format);
    case 'completions':
      return new WholeText(format);
    case 'messages':
      return new WholeMessage(format);
    case 'responses':
      return new WholeResponse(format);
  }
}

/** Writes the end of a streamed answer, at the edge. */
export function streamEnding(format: AnswerFormat): StreamEnding {
  switch (format.dialect) {
    case 'chat':
      return new ChatEnding(format);
    case 'completions':
      return new TextEnding(format);
    case 'messages':
      return new MessageEnding(format);
    case 'responses':
      return new ResponseEnding(format);
  }
}

/** The members of a whole answer that only the edge knows: usage, cost and `tollgate`. */
export function endMembers(format: AnswerFormat, end: AnswerEnd): object {
  switch (format.dialect) {
    case 'chat':
      return endOfChat(format, end);
    case 'completions':
      return endOfText(format, end);
    case 'messages':
      return endOfMessage(format, end);
    case 'responses':
      return endOfResponse(format, end);
  }
}
