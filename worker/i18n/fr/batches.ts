/** Les pages des lots en français. */
import type { batchesEn } from '../en/batches.ts';

export const batchesFr: typeof batchesEn = {
  title: 'Lots',
  lead: 'Des requêtes dans un fichier, traitées en 24 heures à moitié prix. Les lignes passent là où des GPU sont libres.',
  batch: 'Lot',
  one: 'Lot',
  all: 'Tous les lots',
  state: 'État',
  states: {
    validating: 'en lecture',
    in_progress: 'en cours',
    finalizing: 'écriture des résultats',
    completed: 'terminé',
    failed: 'échoué',
    expired: 'hors délai',
    cancelling: 'en annulation',
    cancelled: 'annulé',
  },
  progress: 'Lignes',
  linesOf: (done, total) => `${done} sur ${total}`,
  failedLines: (_, text) => `${text} sans réponse`,
  charge: 'Débit (USD)',
  charged: 'Débité',
  halfPrice: 'Les lignes qui ont une réponse, à moitié prix',
  endsBy: 'Fin au plus tard (UTC)',
  ended: 'Fin (UTC)',
  created: (at) => `envoyé le ${at}`,
  pausedBy: {
    insufficient_balance:
      'Il attend du crédit : le solde ne paie pas la ligne suivante. Rechargez, et il continue.',
    key_cap_reached:
      'Il attend : le plafond de sa clé est atteint. Relevez-le, ou attendez la période suivante.',
    account_cap_reached:
      'Il attend : le plafond du compte est atteint. Relevez-le, ou attendez la période suivante.',
    account_suspended: 'Il attend : le compte est suspendu. Écrivez-nous.',
    no_idle_capacity: 'Il attend des GPU libres : qui attend une réponse passe d’abord.',
  },
  faultAt: (line, message) => `Ligne ${line} : ${message}`,
  takeOutput: 'Les réponses, en JSONL',
  takeErrors: 'Les lignes sans réponse, en JSONL',
  lookAgain: 'Actualiser',
  newest: 'Lots les plus récents',
  older: 'Lots plus anciens',
  cancel: 'Annuler…',
  cancelTitle: 'Annuler ce lot ?',
  cancelText: (left) =>
    `${left} lignes ne sont pas terminées. Celles qui sont en cours s’achèvent et sont débitées ; les autres ne commencent pas. Les réponses déjà là restent.`,
  cancelSubmit: 'Annuler le lot',
  keep: 'Le laisser continuer',
  emptyTitle: 'Pas encore de lot',
  empty: 'Écrivez une requête par ligne, envoyez le fichier, et dites ce qu’il faut en faire :',
};
