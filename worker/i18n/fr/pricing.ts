/** Les prix et leur calculateur, en français. */
import type { Messages } from '../en/index.ts';

export const pricingFr: Messages['pricing'] = {
  title: 'Tarifs',
  lead: 'Au jeton, prépayé, sans minimum. Vous payez jetons × prix, et chaque facture dit les deux.',
  tariffs: { standard: 'standard', offPeak: 'heures creuses', batch: 'par lots' },
  calculator: 'Combien cela coûterait-il ?',
  calculatorLead: 'Trente jours de votre travail, aux prix en vigueur maintenant.',
  model: 'Modèle',
  requestsPerDay: 'Requêtes par jour',
  promptTokens: 'Jetons d’entrée par requête',
  cachedPercent: 'Entrée venue du cache, %',
  cachedHint: 'Ce par quoi beaucoup de requêtes commencent : une consigne, une conversation en cours.',
  outputTokens: 'Jetons de sortie par requête',
  outputHint: 'Raisonnement compris.',
  batchPercent: 'Envoyées par lots, %',
  batchHint: 'Réponse dans la journée.',
  offPeakPercent: 'En heures creuses, %',
  submit: 'Calculer',
  total: 'En 30 jours',
  perRequest: 'Une requête',
  elsewhere: (name) => `La même chose chez ${name}`,
  saved: 'Économie',
  arithmetic: 'Le calcul',
  part: 'Partie',
  kind: 'Jetons',
  count: 'Nombre',
  price: 'USD le million',
  cost: 'USD',
  notSold: 'Ce modèle n’est pas en vente en ce moment.',
  claimNote: (name, from, to) =>
    `${name} : prix public de son éditeur du ${from} au ${to}, date de son retrait. L’affirmation vaut contre ce modèle ; contre les plus petits d’aujourd’hui, l’écart est de 50 à 80 %.`,
};
