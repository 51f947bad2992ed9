/** Canary tests on the pool page, in French. */
import type { canaryEn } from '../en/canary.ts';

export const canaryFr: typeof canaryEn = {
  waiting:
    'Ne reçoit aucun trafic client avant d’avoir réussi un test canari. Le premier test suit son prochain signal.',
  held: 'Isolé : il termine les requêtes en cours et n’en prend pas de nouvelles. Une fois rétabli, il doit d’abord réussir un test canari.',
  asking: (at) => `Test canari du ${at} UTC : en cours.`,
  receiptAwaited: (at) => `Test canari du ${at} UTC : réponse obtenue, en attente du reçu du nœud.`,
  passed: (at) => `Test canari réussi le ${at} UTC.`,
  failed: (at, fault) => `Échec du test canari du ${at} UTC : ${fault}`,
  triedAgain: 'Un nouveau test suit automatiquement, après une attente qui s’allonge à chaque échec.',
  counts: (prompt, cached, completion, reasoning) =>
    `Entrée : ${prompt} jetons, dont ${cached} en cache ; réponse : ${completion} jetons, dont ${reasoning} de raisonnement.`,
  faults: {
    unreachable:
      'rien ne répond à son URL. Vérifiez que l’agent tourne et que son URL, son tunnel et son certificat sont corrects.',
    not_an_agent:
      'son URL ne mène pas à l’agent, mais à une redirection ou à une autre page. Le tunnel ou le proxy doit tout laisser passer.',
    refused_unauthorized:
      'l’agent a refusé le jeton d’accès du point d’accès. Vérifiez l’horloge du nœud, et que l’agent lit les clés de ce point d’accès.',
    refused_bad_request: 'l’agent ou le moteur a refusé la requête comme invalide. Mettez les deux à jour.',
    refused_overloaded:
      'il n’accepte pas de requête : il est plein, en cours de retrait, ou ne peut pas écrire son journal.',
    refused_engine_failed: 'son moteur est en panne. Consultez le journal de SGLang.',
    refused_engine_timeout:
      'son moteur n’a envoyé aucun jeton dans le délai. Consultez le journal de SGLang.',
    first_token_late:
      'aucun jeton en 30 secondes. Attendez que le moteur ait chauffé ; si cela persiste, consultez le journal de SGLang.',
    broken_off:
      'la réponse s’est interrompue avant la fin. Consultez le journal de l’agent, et vérifiez qu’aucun proxy ne retient ni ne coupe les flux.',
    prompt_tokens:
      'son nombre de jetons d’entrée est impossible pour ce texte. Vérifiez le modèle de conversation (chat template).',
    prompt_differs:
      'il a compté deux fois différemment le même texte. Vérifiez qu’un seul moteur répond à son URL.',
    nothing_cached:
      'le texte envoyé de nouveau n’a pas été trouvé dans le cache de préfixes. Lancez SGLang avec --enable-cache-report et laissez le cache radix activé.',
    no_reasoning:
      'la réponse ne contient pas de raisonnement. Lancez SGLang avec le --reasoning-parser du modèle.',
    only_reasoning:
      'la réponse est arrivée comme raisonnement, alors que le modèle ne raisonne pas. Lancez SGLang sans --reasoning-parser.',
    no_tool_call:
      'un appel d’outil exigé n’est pas arrivé comme appel. Lancez SGLang avec le --tool-call-parser du modèle, et vérifiez le modèle de conversation (chat template).',
    not_json:
      'une réponse ne suit pas son schéma JSON. Lancez SGLang sans --grammar-backend none, et vérifiez son --reasoning-parser.',
    context_short:
      'son moteur n’accepte pas d’entrée aussi longue que celles qui sont vendues. Le journal de l’agent dit quelle option changer : --context-length, ou --mem-fraction-static pour un cache KV plus grand.',
    completion_tokens:
      'il n’a compté aucun jeton, ou plus que la limite. Vérifiez les versions de SGLang et de l’agent.',
    receipt_differs:
      'les nombres de son reçu diffèrent de ceux de sa réponse. Ne faites pas confiance au nœud avant d’en connaître la cause ; mettez l’agent à jour.',
    receipt_missing:
      'son reçu n’est pas arrivé. Cherchez des erreurs d’envoi du signal (heartbeat) dans le journal de l’agent.',
    interrupted: 'le test a été interrompu par le point d’accès.',
    engine_changed: 'le moteur a changé pendant le test.',
    withdrawn: 'l’état du nœud a été modifié pendant le test.',
  },
};
