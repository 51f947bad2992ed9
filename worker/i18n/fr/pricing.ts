/** The pricing page and its calculator, in French. */
import type { Messages } from '../en/index.ts';

export const pricingFr: Messages['pricing'] = {
  title: 'Tarifs',
  lead: 'Facturation au jeton, prépayée, sans minimum. Vous payez jetons × tarif, et chaque facture indique les deux.',
  tariffs: { standard: 'standard', offPeak: 'heures creuses', batch: 'par lots' },
  calculator: 'Combien cela coûterait-il ?',
  calculatorLead: 'Trente jours de votre consommation, aux tarifs actuellement en vigueur.',
  model: 'Modèle',
  requestsPerDay: 'Requêtes par jour',
  promptTokens: 'Jetons d’entrée par requête',
  cachedPercent: 'Entrée en cache, %',
  cachedHint: 'Le début commun des requêtes : un prompt système, les tours précédents d’une conversation.',
  outputTokens: 'Jetons de sortie par requête',
  outputHint: 'Raisonnement compris.',
  batchPercent: 'Envoyées par lots, %',
  batchHint: 'Réponse en moins de 24 heures.',
  offPeakPercent: 'En heures creuses, %',
  submit: 'Calculer',
  total: 'En 30 jours',
  perRequest: 'Par requête',
  elsewhere: (name) => `Même usage chez ${name}`,
  saved: 'Économie',
  arithmetic: 'Calcul',
  part: 'Partie',
  kind: 'Jetons',
  count: 'Nombre',
  price: 'USD par million',
  cost: 'USD',
  notSold: 'Ce modèle n’est pas en vente en ce moment.',
  claimNote: (name, from, to) =>
    `${name} : prix public de son éditeur du ${from} au ${to}, date de son retrait. La comparaison vaut pour ce modèle ; face aux modèles plus petits d’aujourd’hui, l’écart est de 50 à 80 %.`,
};
