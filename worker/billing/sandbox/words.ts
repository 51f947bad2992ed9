/** The texts of the sandbox's pages, in English and French. */
import type { Context } from 'hono';
import { getCookie } from 'hono/cookie';
import type { PaymentOrder } from '../../db/payments.ts';
import { NANO_PER_USD } from '../../domain/money.ts';

export const WORDS = {
  en: {
    title: 'Sandbox checkout',
    notice: 'This is a sandbox. No card is needed and no money moves.',
    order: 'Order',
    amount: 'Top-up',
    pay: (amount: string) => `Pay ${amount}`,
    decline: 'Decline',
    paid: 'This order is paid. The credit has been added to your balance.',
    back: 'Back to billing',
    unknownTitle: 'Not found',
    unknown: 'This order, card page or invoice does not exist. Start again from the billing page.',
    undelivered: 'The payment could not be recorded. Nothing was charged; try again.',
    cardTitle: 'Sandbox card',
    cardNote: 'Choose a test card to save. Each card always behaves the same way when charged.',
    cards: {
      works: 'Save a card that works',
      declines: 'Save a card that is declined',
      asks: 'Save a card that needs confirmation (3-D Secure)',
    },
    cardUndelivered: 'The card could not be saved. Try again.',
    invoiceTitle: 'Sandbox invoice',
    invoiceNotice: 'This is a sandbox. No money moved, and this invoice is not valid for tax purposes.',
    number: 'Number',
    date: 'Paid on (UTC)',
    item: 'Item',
    credit: 'Tollgate credit',
    total: 'Total',
  },
  fr: {
    title: 'Paiement fictif',
    notice: 'Ceci est un environnement de test. Aucune carte n’est demandée et aucun argent ne circule.',
    order: 'Commande',
    amount: 'Recharge',
    pay: (amount: string) => `Payer ${amount}`,
    decline: 'Refuser',
    paid: 'Cette commande est payée. Le crédit a été ajouté à votre solde.',
    back: 'Retour à la facturation',
    unknownTitle: 'Introuvable',
    unknown:
      'Cette commande, page de carte ou facture n’existe pas. Recommencez depuis la page de facturation.',
    undelivered: 'Le paiement n’a pas pu être enregistré. Rien n’a été débité ; réessayez.',
    cardTitle: 'Carte fictive',
    cardNote:
      'Choisissez une carte de test à enregistrer. Chacune se comporte toujours de la même façon lors d’un débit.',
    cards: {
      works: 'Enregistrer une carte qui fonctionne',
      declines: 'Enregistrer une carte refusée par la banque',
      asks: 'Enregistrer une carte à confirmer (3-D Secure)',
    },
    cardUndelivered: 'La carte n’a pas pu être enregistrée. Réessayez.',
    invoiceTitle: 'Facture fictive',
    invoiceNotice:
      'Ceci est un environnement de test. Aucun argent n’a circulé et ce document n’a aucune valeur fiscale.',
    number: 'Numéro',
    date: 'Payée le (UTC)',
    item: 'Article',
    credit: 'Crédit Tollgate',
    total: 'Total',
  },
} as const;

export type Language = keyof typeof WORDS;

/**
 * The language chosen in the portal (its `language` cookie), else French where the browser prefers it, else English.
 */
export function languageOf(c: Context): Language {
  const chosen = getCookie(c, 'language') ?? getCookie(c, 'language', 'host');
  if (chosen === 'en' || chosen === 'fr') return chosen;
  return /^\s*fr\b/i.test(c.req.header('accept-language') ?? '') ? 'fr' : 'en';
}

export function amountOf(order: PaymentOrder, language: Language): string {
  const format = { style: 'currency', currency: order.currency, currencyDisplay: 'narrowSymbol' } as const;
  return new Intl.NumberFormat(language, format).format(order.amountNanoUsd / NANO_PER_USD);
}
