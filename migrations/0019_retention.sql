CREATE INDEX `account_to_erase` ON `account` (`closed_at_ms`) WHERE closed_at_ms IS NOT NULL AND name <> id;--> statement-breakpoint
CREATE INDEX `invitation_by_expiry` ON `invitation` (`expires_at_ms`);--> statement-breakpoint
CREATE INDEX `notice_by_time` ON `notice` (`at_ms`);--> statement-breakpoint
CREATE INDEX `webhook_endpoint_removed` ON `webhook_endpoint` (`removed_at_ms`) WHERE removed_at_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `payment_event_by_time` ON `payment_event` (`received_at_ms`);--> statement-breakpoint
CREATE INDEX `payment_order_unpaid` ON `payment_order` (`created_at_ms`) WHERE state <> 'paid';--> statement-breakpoint
CREATE INDEX `person_session_by_expiry` ON `person_session` (`expires_at`);--> statement-breakpoint
CREATE INDEX `person_verification_by_expiry` ON `person_verification` (`expires_at`);--> statement-breakpoint
CREATE INDEX `audit_with_detail` ON `audit` (`at_ms`) WHERE detail <> '{}';--> statement-breakpoint
CREATE INDEX `join_token_by_expiry` ON `join_token` (`expires_at_ms`);--> statement-breakpoint
-- The audit trail keeps who did what and when. Only details leave it, at the end of their time or with their account.
DROP TRIGGER audit_keeps_its_rows;
--> statement-breakpoint
CREATE TRIGGER audit_keeps_its_rows BEFORE UPDATE ON audit
WHEN NEW.detail <> '{}' OR NEW.id IS NOT OLD.id OR NEW.at_ms IS NOT OLD.at_ms OR NEW.actor IS NOT OLD.actor
  OR NEW.action IS NOT OLD.action OR NEW.subject IS NOT OLD.subject OR NEW.account_id IS NOT OLD.account_id
BEGIN SELECT RAISE(ABORT, 'the audit trail is never changed'); END;
