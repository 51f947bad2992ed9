import { DurableObject } from 'cloudflare:workers';
import type { PoolApi } from '../domain/node.ts';
import type { Env } from '../env.ts';

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: placeholder until the object is written
export interface Pool extends PoolApi {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: placeholder until the object is written
export class Pool extends DurableObject<Env> {}
