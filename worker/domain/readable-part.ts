/**
 * A part of a message as text. Every model here reads text only, so a part that is text in another form is passed on as
 * text, and any other is replaced by a note that says what was left out. A conversation therefore goes on after an image.
 */

export interface ReadablePart {
  readonly text: string;
  /** Whether the text only says what was left out. */
  readonly isLeftOut: boolean;
  /** Whether the request loses something with it, so that the answer names the part. */
  readonly isNamed: boolean;
}

export type Part = Readonly<Record<string, unknown>>;

/** Names of media in notes, by a word in the type of a part: `image_url`, `input_image`, `computer_screenshot`, …. */
const KINDS = [
  [/image|screenshot/, 'image'],
  [/audio/, 'audio'],
  [/video/, 'video'],
  [/document|pdf/, 'document'],
  [/file|upload/, 'file'],
] as const;

/** Types of plain text in any of the copied APIs. */
const TEXT_TYPES: readonly unknown[] = ['text', 'input_text', 'output_text', 'summary_text'];

/** Types of thoughts, which some libraries put beside the text of an earlier answer. */
const THOUGHT_TYPES: readonly unknown[] = ['thinking', 'redacted_thinking', 'reasoning', 'reasoning_text'];

/** @param part one whose type the dialect's schema does not read as it is */
export function readablePart(part: Part): ReadablePart {
  if (part.type === 'refusal' && typeof part.refusal === 'string') return passedOn(part.refusal);
  // A thought between parts of an answer is no part of what was said.
  if (THOUGHT_TYPES.includes(part.type)) return { ...passedOn(''), isNamed: true };
  if (part.type === 'document') {
    const text = documentText(part);
    if (text !== null) return { ...passedOn(text), isNamed: wantsCitations(part) };
  }
  if (part.type === 'search_result' && Array.isArray(part.content))
    return {
      ...passedOn(under([part.title, part.source], textOf(part.content))),
      isNamed: wantsCitations(part),
    };
  const file = part.type === 'file' ? part.file : part.type === 'input_file' ? part : undefined;
  if (isObject(file)) {
    const text = fileText(file.file_data);
    if (text !== null) return passedOn(under([file.filename], text));
  }
  if (typeof part.text === 'string')
    return { ...passedOn(part.text), isNamed: !TEXT_TYPES.includes(part.type) };
  return { text: note(part), isLeftOut: true, isNamed: true };
}

function passedOn(text: string): ReadablePart {
  return { text, isLeftOut: false, isNamed: false };
}

/** Models here cite nothing. */
function wantsCitations({ citations }: Part): boolean {
  return isObject(citations) && citations.enabled === true;
}

/** The text of an Anthropic document whose source is text; null: it is a PDF, a URL or an uploaded file. */
function documentText({ source, title, context }: Part): string | null {
  if (!isObject(source)) return null;
  if (source.type === 'text' && typeof source.data === 'string') return under([title, context], source.data);
  if (source.type !== 'content') return null;
  if (typeof source.content === 'string') return under([title, context], source.content);
  return Array.isArray(source.content) ? under([title, context], textOf(source.content)) : null;
}

/** A longer heading is not one, and is left out. */
const HEADING_LENGTH_MAX = 1_000;

/** The text with its title and the like on lines of their own before it. */
function under(headings: readonly unknown[], text: string): string {
  const lines = headings.filter(
    (heading) => typeof heading === 'string' && heading !== '' && heading.length <= HEADING_LENGTH_MAX,
  );
  return [...lines, text].join('\n');
}

function textOf(parts: readonly unknown[]): string {
  return parts.flatMap((part) => (isObject(part) ? [readablePart(part).text] : [])).join('\n');
}

/** Media types of files that are text, among those that OpenAI's `input_file` takes. */
const TEXT_DATA =
  /^data:(?:text\/[\w.+-]+|application\/(?:json|xml|yaml|x-yaml|javascript|[\w.-]+\+(?:json|xml)))(?:;[\w=.-]+)*,/i;

/** The text of a file that a data URL has; null: it is none, or no text. */
function fileText(data: unknown): string | null {
  if (typeof data !== 'string') return null;
  const head = TEXT_DATA.exec(data)?.[0];
  if (head === undefined) return null;
  const written = data.slice(head.length);
  try {
    if (!/;base64,$/i.test(head)) return decodeURIComponent(written);
    const bytes = Uint8Array.from(atob(written), (char) => char.charCodeAt(0));
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return null;
  }
}

/** The sentence that stands for a part, with its name and media type where they are short and plain. */
function note(part: Part): string {
  const kind = KINDS.find(([word]) => word.test(String(part.type)))?.[1];
  if (kind === undefined) {
    const type = plain(part.type, /^[\w.:-]{1,48}$/);
    return `[${type ? `content of type ${type}` : 'content of an unknown type'} left out: this model cannot read it]`;
  }
  const name = nameOf(part);
  const media = mediaTypeOf(part);
  return `[${kind}${name ? ` ${name}` : ''}${media ? ` (${media})` : ''} left out: this model reads text only]`;
}

function nameOf(part: Part): string | null {
  const names = [part.filename, part.title, isObject(part.file) ? part.file.filename : undefined];
  return names.map((name) => plain(name, /^[\w][\w .()-]{0,63}$/)).find((name) => name !== null) ?? null;
}

function mediaTypeOf(part: Part): string | null {
  const sources = [part, part.source, part.file, part.image_url, part.input_audio].filter(isObject);
  const given = sources.flatMap(({ media_type, mime_type, format }) => [media_type, mime_type, format]);
  const urls = [part.image_url, ...sources.flatMap(({ url, file_data }) => [url, file_data])];
  const ofUrls = urls.map((url) =>
    typeof url === 'string' ? /^data:([^;,]{1,64})/.exec(url)?.[1] : undefined,
  );
  const media = [...given, ...ofUrls].map((type) => plain(type, /^[\w.+-]{1,32}(\/[\w.+-]{1,32})?$/));
  return media.find((type) => type !== null) ?? null;
}

function plain(value: unknown, pattern: RegExp): string | null {
  return typeof value === 'string' && pattern.test(value) ? value : null;
}

function isObject(value: unknown): value is Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
