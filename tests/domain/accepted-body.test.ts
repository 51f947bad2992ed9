import { describe, expect, it } from 'vitest';
import { acceptedBody } from '../../worker/api/openapi/accepted-body.ts';

const text = {
  type: 'object',
  properties: { type: { type: 'string', const: 'text' }, text: { type: 'string' } },
  required: ['type', 'text'],
};

describe('the schema of a body as clients may send it', () => {
  it('has null for what is optional, once, and not for what is required', () => {
    const schema = {
      type: 'object',
      properties: {
        model: { type: 'string' },
        n: { type: 'integer' },
        stop: { type: ['string', 'null'] },
        any: {},
        nested: { type: 'object', properties: { a: { type: 'boolean' } } },
      },
      required: ['model', 'nested'],
    };
    expect(acceptedBody(schema).properties).toEqual({
      model: { type: 'string' },
      n: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
      stop: { type: ['string', 'null'] },
      any: {},
      nested: { type: 'object', properties: { a: { anyOf: [{ type: 'boolean' }, { type: 'null' }] } } },
    });
  });

  it('has parts of other types, and a text in place of parts', () => {
    const schema = {
      type: 'object',
      properties: { content: { type: 'array', items: text } },
      required: ['content'],
    };
    expect(acceptedBody(schema).properties).toEqual({
      content: {
        anyOf: [
          { type: 'string' },
          {
            type: 'array',
            items: {
              anyOf: [
                text,
                expect.objectContaining({
                  properties: { type: { type: 'string', not: { enum: ['text'] } } },
                  required: ['type'],
                }),
              ],
            },
          },
        ],
      },
    });
  });

  it('leaves other arrays alone', () => {
    const summary = {
      type: 'array',
      items: { type: 'object', properties: { type: { type: 'string' } }, required: ['type'] },
    };
    const schema = {
      type: 'object',
      properties: { content: summary, tools: { type: 'array', items: text } },
      required: ['content', 'tools'],
    };
    expect(acceptedBody(schema).properties).toEqual(schema.properties);
  });
});
