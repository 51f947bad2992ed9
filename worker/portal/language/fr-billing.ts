/** Billing: balance, top-ups, recharge, payments and ledger, in French. */
import type { billingEn } from './en-billing.ts';

export const billingFr: typeof billingEn = {
  title: 'Facturation',
  available: 'Disponible',
  availableNote: 'Ce que les requêtes peuvent dépenser',
  daysLeft: (days, text) =>
    days < 1
      ? 'moins d’un jour au rythme de cette semaine'
      : `${text} ${days < 2 ? 'jour' : 'jours'} au rythme de cette semaine`,
  granted: 'Offert',
  grantedNote: 'Dépensé en premier',
  paid: 'Payé',
  paidNote: 'N’expire pas',
  held: 'Réservé',
  heldNote: 'Pour les requêtes en cours',
  topUpTitle: 'Recharger',
  topUpNote: 'Vous payez le montant choisi et le recevez en entier comme crédit. Il n’y a pas de frais.',
  amount: 'Montant',
  other: 'Autre montant',
  otherHint: (min, max) => `de ${min} à ${max} ; remplace les choix ci-dessus`,
  submit: 'Continuer vers le paiement',
  declinedNotice: 'Le paiement a été refusé. Rien n’a été prélevé ni crédité.',
  arrivedNotice: 'Votre paiement est arrivé et crédité.',
  closed: 'Les paiements ne sont pas encore ouverts ici. Écrivez à l’exploitant pour ajouter du crédit.',
  paidNotice: (amount) => `Votre paiement de ${amount} est arrivé et crédité.`,
  openNotice: (amount) =>
    `Votre paiement de ${amount} est en cours de confirmation. Le crédit apparaîtra ici ensuite.`,
  droppedNotice: (amount) => `Le paiement de ${amount} n’a pas abouti. Rien n’a été prélevé ni crédité.`,
  checkAgain: 'Vérifier à nouveau',
  purchaseOrder: 'Bon de commande',
  purchaseOrderHint: 'Facultatif : votre propre numéro, imprimé sur la facture',
  taxNote:
    'Pour une société : son numéro de TVA et son adresse sont demandés sur la page de paiement et figurent sur chaque facture.',
  owed: (amount) =>
    `${amount} sont dus : un paiement a été remboursé ou contesté après avoir été dépensé. Le prochain paiement règle d’abord cette dette.`,
  rechargeTitle: 'Recharge automatique',
  rechargeNote:
    'Votre carte enregistrée est débitée quand le solde passe sous le seuil de votre choix : vos requêtes ne s’arrêtent jamais faute de crédit. Un seul débit à la fois, et pas plus par mois que vous ne permettez.',
  card: 'Carte enregistrée',
  noCard:
    'Aucune carte n’est enregistrée. Elle est saisie sur la page du prestataire de paiement et gardée là-bas, jamais ici.',
  saveCard: 'Enregistrer une carte',
  replaceCard: 'Utiliser une autre carte',
  removeCard: 'Retirer la carte',
  cardNotice: {
    saved: 'La carte est enregistrée.',
    pending: 'La carte est en cours de confirmation. Elle apparaîtra ici dans un instant.',
    removed: 'La carte est retirée et la recharge automatique désactivée.',
  },
  rechargeNotice: {
    on: 'La recharge automatique est activée.',
    off: 'La recharge automatique est désactivée. Votre carte reste enregistrée.',
  },
  rechargeState: { on: 'activée', off: 'désactivée' },
  below: 'Quand le solde passe sous (USD)',
  belowHint: 'Laissez de la marge pour ce que vous dépensez en quelques minutes',
  rechargeAmount: 'Débiter ce montant (USD)',
  rechargeAmountHint: (min, max) => `de ${min} à ${max}`,
  monthlyMax: 'Au plus ce montant par mois (USD)',
  monthlyMaxHint: (recharged) => `Mois civil, UTC. Ce mois-ci jusqu’à présent : ${recharged}`,
  turnOn: 'Activer',
  changeRule: 'Enregistrer les changements',
  turnOff: 'Désactiver',
  offTitle: 'La recharge automatique a été désactivée.',
  declines: {
    card_declined:
      'La banque a refusé la carte. Voyez avec elle ou enregistrez une autre carte, puis réactivez.',
    insufficient_funds:
      'La carte n’était pas assez approvisionnée ou avait atteint son plafond. Choisissez un montant plus petit ou une autre carte, puis réactivez.',
    expired_card: 'La carte a expiré. Enregistrez une autre carte, puis réactivez.',
    authentication_required:
      'La banque veut que vous confirmiez chaque paiement. Enregistrez la carte à nouveau pour la confirmer d’avance, ou prenez-en une autre, puis réactivez.',
    card_unusable: 'Le prestataire de paiement n’a plus cette carte. Enregistrez une carte, puis réactivez.',
    reversed: 'Un paiement a été remboursé ou contesté. Réactivez une fois l’affaire réglée.',
  },
  paymentsTitle: 'Paiements',
  paymentsNote: 'Les 25 plus récents. La facture suit le paiement en moins d’une minute.',
  paymentsEmpty: 'Pas encore de paiement.',
  orderKinds: { checkout: 'Recharge', recharge: 'Recharge automatique' },
  orderStates: {
    checkout: { open: 'pas encore payé', closed: 'non abouti', paid: 'payé' },
    recharge: { open: 'en cours', closed: 'non débité', paid: 'payé' },
  },
  state: 'État',
  invoice: 'Facture',
  invoiceOf: (date) => `Facture du ${date}`,
  ledgerTitle: 'Grand livre',
  ledgerNote:
    'On n’y fait qu’ajouter. L’empreinte de chaque écriture couvre la précédente : rien ne peut changer ensuite sans que cela se voie.',
  seq: 'N°',
  time: 'Heure (UTC)',
  kind: 'Nature',
  kinds: { grant: 'Crédit offert', top_up: 'Recharge', charge: 'Débit', correction: 'Correction' },
  reference: 'Référence',
  balance: 'Solde (USD)',
  grantedUsd: 'Offert (USD)',
  paidUsd: 'Payé (USD)',
  hash: 'Empreinte',
  older: 'Écritures plus anciennes',
  newest: 'Écritures les plus récentes',
  empty: 'Pas encore d’écriture.',
};
