/** Aliases of models, in French. */
import type { aliasesEn } from '../en/aliases.ts';

export const aliasesFr: typeof aliasesEn = {
  title: 'Alias de modèles',
  lead: 'Vos propres noms de modèles. Les agents demandent des modèles de leur éditeur, comme claude-haiku-4-5 en arrière-plan : un alias dit quel modèle leur répond ici.',
  note: 'Un alias vaut pour toutes les clés et tous les jetons du compte, dans chaque API et dans les lots. Les réponses, les factures et les clés limitées à certains modèles s’en tiennent au modèle lui-même. Les changements prennent effet partout en moins de dix secondes.',
  empty: 'Aucun alias pour l’instant. Un nom qui n’est ni un modèle ni un alias reçoit une réponse 404.',
  done: {
    set: 'Alias enregistré. Il prend effet partout en moins de dix secondes.',
    removed: 'Alias retiré. En moins de dix secondes, son nom est inconnu partout.',
  },
  newTitle: 'Définir un alias',
  name: 'Nom',
  nameHint:
    'Tel que le client l’envoie, par exemple claude-haiku-4-5-20251001. Un nom qui existe reçoit le nouveau modèle.',
  model: 'Modèle',
  effort: 'Effort de raisonnement',
  effortHint: 'Pour les requêtes qui ne disent rien du raisonnement.',
  asAsked: 'selon chaque requête',
  since: 'Depuis',
  ended: 'n’est plus vendu',
  submit: 'Enregistrer l’alias',
  remove: 'Retirer',
  link: 'Alias de modèles : vos propres noms, pour les agents qui demandent d’autres modèles',
};
