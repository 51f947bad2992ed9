import { DurableObject } from 'cloudflare:workers';
import type { WalletApi } from '../domain/wallet.ts';
import type { Env } from '../env.ts';

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: placeholder until the object is written
export interface Wallet extends WalletApi {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: placeholder until the object is written
export class Wallet extends DurableObject<Env> {}
