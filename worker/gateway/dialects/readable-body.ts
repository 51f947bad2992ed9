/**
 * The body with every part of its messages that no model here can read replaced by text (domain/readable-part.ts). It
 * precedes the schema, so that one image does not make a whole conversation invalid, and a part keeps its place in errors.
 */
import { type Part, readablePart } from '../../domain/readable-part.ts';
import { NAMES_MAX, reportedName } from '../../domain/unread-fields.ts';
import type { ApiError } from '../../http/api-error.ts';

/** Where a dialect's messages have parts. */
export interface PartsOf {
  /** The field of the conversation. */
  readonly list: 'messages' | 'input';
  /** The types of parts that the dialect's schema reads, each where it may stand: in a message, or in a part of one. */
  readonly read: ReadonlySet<unknown>;
  readonly readWithin: ReadonlySet<unknown>;
  /** Types that the dialect makes text of itself, with all that is in them. */
  readonly isWhole?: (type: string) => boolean;
}

export type ReadableBody =
  /** `leftOut`: names of the parts that the answer does not take into account */
  { ok: true; body: Record<string, unknown>; leftOut: readonly string[] } | { ok: false; error: ApiError };

type Body = Record<string, unknown>;

/** The body itself where there is nothing to replace. */
export function readableBody(body: Body, parts: PartsOf): ReadableBody {
  const walk = new Walk(parts);
  const replaced = walk.body(body);
  if (walk.firstLeftOut === null || walk.hasUserText)
    return { ok: true, body: replaced, leftOut: [...walk.names] };
  const param = walk.firstLeftOut;
  const message = `\`${param}\` cannot be read, and nothing else in the request can be answered: models here read text only. Send text beside it, or describe it in words.`;
  return { ok: false, error: { reason: 'invalid_field', param, message } };
}

class Walk {
  readonly names = new Set<string>();
  /** The path of the first part that was left out, as clients write it; null: none was. */
  firstLeftOut: string | null = null;
  /** Whether a user, or a tool, says anything that can be read. */
  hasUserText = false;
  readonly #parts: PartsOf;

  constructor(parts: PartsOf) {
    this.#parts = parts;
  }

  body(body: Body): Body {
    const { list } = this.#parts;
    const messages = body[list];
    const system = Array.isArray(body.system)
      ? this.#list(body.system, 'system', 'system[].', false)
      : body.system;
    if (!Array.isArray(messages)) return system === body.system ? body : { ...body, system };
    const replaced = mapped(messages, (message, index) =>
      isObject(message) ? this.#message(message, `${list}[${index}]`) : message,
    );
    return replaced === messages && system === body.system
      ? body
      : { ...body, ...(system ? { system } : {}), [list]: replaced };
  }

  #message(message: Body, path: string): Body {
    let replaced = message;
    const fromUser = message.role === 'user' || message.role === 'tool' || message.role === undefined;
    for (const field of fieldsOf(message, this.#parts)) {
      const value = message[field];
      if (typeof value === 'string') this.#heard(value, fromUser);
      if (!Array.isArray(value)) continue;
      const name = `${this.#parts.list}[].${field}[].`;
      const parts = this.#list(value, `${path}.${field}`, name, fromUser);
      if (parts !== value) replaced = { ...replaced, [field]: parts };
    }
    return replaced;
  }

  /** @param name of the list's items, with their indexes left out */
  #list(
    list: readonly unknown[],
    path: string,
    name: string,
    fromUser: boolean,
    read = this.#parts.read,
  ): readonly unknown[] {
    return mapped(list, (part, index) => {
      if (!isObject(part) || typeof part.type !== 'string') return part;
      if (this.#parts.isWhole?.(part.type)) return part;
      const partPath = `${path}[${index}]`;
      if (!read.has(part.type))
        return this.#replaced(part, { path: partPath, name, fromUser, index, of: list.length });
      this.#heard(part.text, fromUser);
      if (typeof part.content === 'string') this.#heard(part.content, fromUser);
      if (!Array.isArray(part.content)) return part;
      const { readWithin } = this.#parts;
      const content = this.#list(
        part.content,
        `${partPath}.content`,
        `${name}content[].`,
        fromUser,
        readWithin,
      );
      return content === part.content ? part : { ...part, content };
    });
  }

  #replaced(
    part: Part,
    at: { path: string; name: string; fromUser: boolean; index: number; of: number },
  ): Part {
    const { text, isLeftOut, isNamed } = readablePart(part);
    if (isNamed && this.names.size <= NAMES_MAX) this.names.add(reportedName(at.name + part.type));
    if (isLeftOut) this.firstLeftOut ??= at.path;
    else this.#heard(text, at.fromUser);
    if (text === '') return { type: 'text', text };
    // Parts are joined without a blank between them.
    const before = at.index > 0 ? '\n' : '';
    const after = at.index < at.of - 1 ? '\n' : '';
    return { type: 'text', text: before + text + after };
  }

  #heard(text: unknown, fromUser: boolean): void {
    if (fromUser && !this.hasUserText && typeof text === 'string') this.hasUserText = /\S/.test(text);
  }
}

/** The fields of a message whose value may be an array of parts. An item of another type has none, such as reasoning. */
function fieldsOf({ type }: Body, { list }: PartsOf): readonly ('content' | 'output')[] {
  if (list === 'messages' || type === undefined || type === 'message') return ['content'];
  return typeof type === 'string' && type.endsWith('_output') ? ['output'] : [];
}

/** The list with each item as `change` returns it; the list itself where none differs. */
function mapped<Item>(list: readonly Item[], change: (item: Item, index: number) => Item): readonly Item[] {
  let copy: Item[] | null = null;
  for (const [index, item] of list.entries()) {
    const changed = change(item, index);
    if (changed !== item) {
      copy ??= [...list];
      copy[index] = changed;
    }
  }
  return copy ?? list;
}

function isObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
