/** The languages of the portal, and the dictionary of each. A phrase that one of them lacks is a compile error. */
import { en, type Messages } from './en/index.ts';
import { fr } from './fr/index.ts';

export const LOCALES = ['en', 'fr'] as const;
export type Locale = (typeof LOCALES)[number];

export const LOCALE_NAMES: Record<Locale, string> = { en: 'English', fr: 'Français' };

export const MESSAGES: Record<Locale, Messages> = { en, fr };

export function isLocale(text: string | undefined): text is Locale {
  return LOCALES.some((locale) => locale === text);
}
