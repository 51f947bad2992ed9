CREATE INDEX `account_to_erase` ON `account` (`closed_at_ms`) WHERE closed_at_ms IS NOT NULL AND name <> id;--> statement-breakpoint
CREATE INDEX `invitation_by_expiry` ON `invitation` (`expires_at_ms`);--> statement-breakpoint
CREATE INDEX `notice_by_time` ON `notice` (`at_ms`);--> statement-breakpoint
CREATE INDEX `webhook_endpoint_removed` ON `webhook_endpoint` (`removed_at_ms`) WHERE removed_at_ms IS NOT NULL;--> statement-breakpoint
CREATE INDEX `payment_event_by_time` ON `payment_event` (`received_at_ms`);--> statement-breakpoint
CREATE INDEX `payment_order_unpaid` ON `payment_order` (`created_at_ms`) WHERE state <> 'paid';--> statement-breakpoint
CREATE INDEX `person_session_by_expiry` ON `person_session` (`expires_at`);--> statement-breakpoint
CREATE INDEX `person_verification_by_expiry` ON `person_verification` (`expires_at`);--> statement-breakpoint
CREATE INDEX `audit_with_detail` ON `audit` (`at_ms`) WHERE detail <> '{}';--> statement-breakpoint
CREATE INDEX `join_token_by_expiry` ON `join_token` (`expires_at_ms`);