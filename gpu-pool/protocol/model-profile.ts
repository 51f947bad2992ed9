/**
 * A model's profile: everything in which one open-weight model differs from another. It is data: an operator adds a model
 * by its profile, and recipe, agent, canary, price page, `/v1/models`, examples and playground follow from it.
 */
import * as z from 'zod';
import { HARDWARE, TOKENS_MAX } from './constants.ts';

/** A variable of the chat template (`chat_template_kwargs`). */
export const TemplateVariable = z.string().regex(/^[a-z][a-z0-9_]{0,31}$/);

const Thinking = z
  .strictObject({
    /** `always` and `never` are the weights' own; `switchable`: the chat template has a variable for it. */
    mode: z.enum(['always', 'never', 'switchable']),
    /** Whether a switchable model thinks when the request does not say. */
    byDefault: z.boolean().optional(),
    /** The boolean variable of a switchable model's template, such as `thinking` or `enable_thinking`. */
    variable: TemplateVariable.optional(),
    /** The levels of effort that the template knows, weakest first, and its variable. Absent: it knows none. */
    effort: z
      .strictObject({
        variable: TemplateVariable,
        levels: z
          .array(z.string().regex(/^[a-z]{1,16}$/))
          .min(1)
          .max(8),
        byDefault: z.string(),
      })
      .optional(),
  })
  .refine(
    ({ mode, byDefault, variable }) =>
      (mode === 'switchable') === (byDefault !== undefined && variable !== undefined),
    'A switchable model has `byDefault` and `variable`, and no other has.',
  )
  .refine(
    ({ effort }) => effort === undefined || effort.levels.includes(effort.byDefault),
    '`effort.byDefault` must be one of `effort.levels`.',
  )
  .refine(
    ({ effort }) => effort === undefined || new Set(effort.levels).size === effort.levels.length,
    '`effort.levels` has a level twice.',
  )
  .refine(
    ({ effort, variable }) => effort === undefined || effort.variable !== variable,
    '`effort.variable` must not be `variable`: one of the two values would be lost.',
  )
  .refine(
    ({ mode, effort }) => mode !== 'never' || effort === undefined,
    'A model that never thinks has no levels of effort.',
  );

/**
 * A control token of a chat template. `*` stands for 1 to 64 characters other than `<`, `>`, quotation marks, backslashes
 * and blanks, behind the first two characters. Tokens are found in JSON, where quotation marks and backslashes are written
 * otherwise, and whose own signs, digits and words (`[1,true]`) must be no token.
 */
const ControlToken = z
  .string()
  .min(3)
  .max(64)
  .regex(/^[^*]{2}/u, 'The first two characters of a control token must not be `*`.')
  // Two of them could share the same text in many ways, and a client's text could try them all for minutes.
  .regex(/^[^*]*\*?[^*]*$/u, 'A control token has at most one `*`.')
  .regex(/^[^\s"\\\p{Cc}\u2060]*$/u, 'A control token has no blanks, quotation marks or backslashes.')
  .regex(
    /[^[\]{},:\d+\-.*eEtrufalsn]/u,
    'A control token must have a character that JSON has in texts only, such as `<`.',
  );

/**
 * Text of one line. Recipes write it into systemd units, where a line break ends even quoted text, so that the rest would be
 * a directive of its own, run by root.
 */
const Line = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\p{Cc}\u2028\u2029]*$/u, 'Leave out line breaks and control characters.');

const Flag = z.string().regex(/^--[a-z][a-z0-9-]{1,63}$/);
/** true: a switch. */
const FlagValue = z.union([z.literal(true), z.number(), Line(256).min(1)]);

export const ModelProfile = z.strictObject({
  /** The maker's name on Hugging Face, shown as `owned_by`. */
  owner: z.string().regex(/^[\w.-]{1,96}$/),
  /** The weights on Hugging Face: `owner/name`. */
  repository: z.string().regex(/^[\w.-]{1,96}\/[\w.-]{1,96}$/),
  /** Commit of the repository; null: recipes use its newest. */
  commit: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .nullable(),
  /** The most tokens of a prompt and its answer together (`max_position_embeddings`); absent: not stated. */
  contextLength: z.int().positive().max(TOKENS_MAX).optional(),
  /** Names of SGLang's parsers (`--reasoning-parser`, `--tool-call-parser`); null: the model needs none. */
  parsers: z.strictObject({
    reasoning: Line(64).nullable(),
    tools: Line(64).nullable(),
  }),
  /** Path of a chat template within the engine's image; null: the repository's own. */
  chatTemplate: Line(256).nullable(),
  /**
   * Thoughts of earlier answers, which clients send back as `reasoning_content`: `dropped`, `kept`, or kept `with_tools`,
   * where the request has tools.
   */
  earlierReasoning: z.enum(['dropped', 'with_tools', 'kept']),
  /** The template's control tokens, which are broken in clients' text. */
  controlTokens: z.array(ControlToken).max(64),
  /**
   * Bytes that the chat template adds, where they have been measured: to every prompt (`request`), to one with tools
   * (`tools`), and for each tool (`tool`). Only for a template that puts no more around a message than the message's JSON
   * has, and writes tools and arguments as Python's json.dumps does. Absent: the edge assumes much wider bounds.
   */
  templateBytes: z
    .strictObject({
      request: z.int().min(0).max(65_536),
      tools: z.int().min(0).max(65_536),
      tool: z.int().min(0).max(65_536),
    })
    .optional(),
  thinking: Thinking,
  /** Sampling where the request does not say; the engine's own defaults for what is absent. */
  sampling: z.strictObject({
    temperature: z.number().min(0).max(2).optional(),
    top_p: z.number().gt(0).max(1).optional(),
  }),
  /** The hardware that the model fits, with the flags of the engine that differ there. */
  hardware: z.partialRecord(z.enum(HARDWARE), z.record(Flag, FlagValue)),
  /** Where each fact was read, and when. */
  sources: z.array(z.strictObject({ fact: Line(200), source: Line(300), date: z.iso.date() })).max(32),
});
export type ModelProfile = z.infer<typeof ModelProfile>;
