"""MLflow's PostgreSQL: a password that only RDS and its secret know, TLS, backups, no address that the internet reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, rds, vpc

from infra.aws import names, roles
from infra.aws.iam import Role
from infra.aws_config import AwsConfig

PORT = 5432
LOG_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """The environment's config, where it lies, its keys, and the security group whose pods may reach it (None: nobody yet)."""

    aws: AwsConfig
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[str]]
    data_key_arn: pulumi.Input[str]
    log_key_arn: pulumi.Input[str]
    client_group_id: pulumi.Input[str] | None
    boundary: pulumi.Input[str]


class Database(pulumi.ComponentResource):
    """One instance. ``host``, ``port``, ``database`` and ``secret_arn`` (a name, no password) are what MLflow needs."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mldelivery:aws:Database", name, None, opts)
        aws, config = args.aws, args.aws.database
        child = pulumi.ResourceOptions(parent=self)
        prefix = f"{aws.name}-"
        subnets = rds.SubnetGroup(
            name, name_prefix=prefix, description="Private networks of the environment", subnet_ids=args.subnet_ids, opts=child
        )
        parameters = rds.ParameterGroup(
            name,
            name_prefix=prefix,
            family=f"postgres{config.version}",
            description="TLS alone; who came, who went, what was changed and what was slow is logged",
            parameters=[{"name": key, "value": value} for key, value in PARAMETERS.items()],
            opts=child,
        )
        group = ec2.SecurityGroup(
            name,
            name_prefix=f"{prefix}database-",
            description="The database: from pods of the cluster alone",
            vpc_id=args.vpc_id,
            tags={"Name": f"{aws.name}-database"},
            opts=child,
        )
        if args.client_group_id is not None:
            vpc.SecurityGroupIngressRule(
                name,
                security_group_id=group.id,
                description="PostgreSQL from nodes and pods of the cluster",
                referenced_security_group_id=args.client_group_id,
                ip_protocol="tcp",
                from_port=PORT,
                to_port=PORT,
                opts=child,
            )
        # Made before RDS would make them, without an end and without a key.
        logs = [
            cloudwatch.LogGroup(
                f"{name}-{purpose}", name=names.log_group(aws, purpose), retention_in_days=LOG_DAYS, kms_key_id=args.log_key_arn, opts=child
            )
            for purpose in ("database", "database-upgrade")
        ]
        watcher = Role(f"{name}-monitoring", f"{aws.name}-database-monitoring", roles.database_monitoring(aws), args.boundary, child)
        instance = rds.Instance(
            name,
            identifier=aws.name,
            engine="postgres",
            engine_version=config.version,
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            instance_class=config.instance,
            allocated_storage=config.storage_gib,
            max_allocated_storage=config.maximum_storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=args.data_key_arn,
            db_name="mlflow",
            username="mlflow",
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.data_key_arn,
            iam_database_authentication_enabled=True,
            multi_az=config.multi_az,
            publicly_accessible=False,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=parameters.name,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            backup_retention_period=config.backup_days,
            backup_window="02:00-03:00",
            maintenance_window="sun:03:30-sun:04:30",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not aws.protect,
            auto_minor_version_upgrade=True,
            deletion_protection=aws.protect,
            skip_final_snapshot=not aws.protect,
            final_snapshot_identifier=f"{aws.name}-final" if aws.protect else None,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.data_key_arn,
            monitoring_interval=60,
            monitoring_role_arn=watcher.arn,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            opts=pulumi.ResourceOptions(parent=self, protect=aws.protect, depends_on=[*logs, *watcher.ready]),
        )
        self.host: pulumi.Output[str] = instance.address
        self.port: pulumi.Output[int] = instance.port
        self.database = "mlflow"
        self.secret_arn: pulumi.Output[str] = instance.master_user_secrets.apply(lambda secrets: str(secrets[0].secret_arn))
        self.register_outputs({"host": self.host})


PARAMETERS = {
    "rds.force_ssl": "1",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_statement": "ddl",
    "log_min_duration_statement": "1000",
}
