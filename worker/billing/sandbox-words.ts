/** What the sandbox's pages say, in English and French. */
import type { Context } from 'hono';
import { getCookie } from 'hono/cookie';

export const WORDS = {
  en: {
    title: 'Sandbox checkout',
    notice: 'This is a sandbox. No card is asked for and no money moves.',
    order: 'Order',
    amount: 'Top-up',
    pay: (amount: string) => `Pay ${amount}`,
    decline: 'Decline',
    paid: 'This order is paid. The credit is in your balance.',
    back: 'Back to billing',
    unknownTitle: 'No such order',
    unknown: 'There is no such order. Begin a new top-up from the billing page.',
    undelivered: 'The payment could not be recorded. Nothing was charged; press the button again.',
  },
  fr: {
    title: 'Paiement fictif',
    notice: 'Ceci est un bac à sable. Aucune carte n’est demandée et aucun argent ne circule.',
    order: 'Commande',
    amount: 'Recharge',
    pay: (amount: string) => `Payer ${amount}`,
    decline: 'Refuser',
    paid: 'Cette commande est payée. Le crédit figure dans votre solde.',
    back: 'Retour à la facturation',
    unknownTitle: 'Commande inconnue',
    unknown: 'Cette commande n’existe pas. Commencez une nouvelle recharge depuis la page de facturation.',
    undelivered:
      'Le paiement n’a pas pu être enregistré. Rien n’a été débité ; appuyez de nouveau sur le bouton.',
  },
} as const;

export type Language = keyof typeof WORDS;

/** The language that was chosen in the portal (its `language` cookie), else French where the browser asks for it first. */
export function languageOf(c: Context): Language {
  const chosen = getCookie(c, 'language');
  if (chosen === 'en' || chosen === 'fr') return chosen;
  return /^\s*fr\b/i.test(c.req.header('accept-language') ?? '') ? 'fr' : 'en';
}
