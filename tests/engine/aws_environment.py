"""A program with every resource type that the stand-in for the AWS provider knows, as an environment on AWS uses them."""

import json
from typing import Any

import pulumi
from pulumi_aws import (
    Provider,
    budgets,
    cloudwatch,
    ec2,
    ecr,
    eks,
    get_availability_zones_output,
    get_caller_identity_output,
    get_partition_output,
    get_region_output,
    iam,
    kms,
    rds,
    s3,
    sns,
    vpc,
)

provider = Provider("aws", region="eu-central-1", allowed_account_ids=["123456789012"], default_tags={"tags": {"environment": "test"}})
options = pulumi.ResourceOptions(provider=provider)
asked = pulumi.InvokeOptions(provider=provider)
account = get_caller_identity_output(opts=asked).account_id
zones = get_availability_zones_output(state="available", opts=asked).names


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str) -> str:
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


key = kms.Key("data", description="data of the test", enable_key_rotation=True, deletion_window_in_days=7, opts=options)
kms.Alias("data", name="alias/test-data", target_key_id=key.key_id, opts=options)

net = ec2.Vpc("net", cidr_block="10.0.0.0/16", enable_dns_support=True, enable_dns_hostnames=True, opts=options)
ec2.DefaultSecurityGroup("net", vpc_id=net.id, ingress=[], egress=[], opts=options)
subnets = [
    ec2.Subnet(
        f"private-{n}",
        vpc_id=net.id,
        cidr_block=f"10.0.{n}.0/24",
        availability_zone=zones[n],
        map_public_ip_on_launch=False,
        tags={"Name": f"private-{n}"},
        opts=options,
    )
    for n in range(2)
]
table = ec2.RouteTable("private", vpc_id=net.id, opts=options)
for n, subnet in enumerate(subnets):
    ec2.RouteTableAssociation(f"private-{n}", route_table_id=table.id, subnet_id=subnet.id, opts=options)
internet = ec2.InternetGateway("net", vpc_id=net.id, opts=options)
address = ec2.Eip("nat", domain="vpc", opts=options)
nat = ec2.NatGateway("nat", allocation_id=address.allocation_id, subnet_id=subnets[0].id, opts=options)
ec2.Route("out", route_table_id=table.id, destination_cidr_block="0.0.0.0/0", nat_gateway_id=nat.id, opts=options)
ec2.VpcEndpoint(
    "s3",
    vpc_id=net.id,
    service_name="com.amazonaws.eu-central-1.s3",
    vpc_endpoint_type="Gateway",
    route_table_ids=[table.id],
    opts=options,
)
group = ec2.SecurityGroup("endpoints", name_prefix="test-endpoints-", description="TLS from inside", vpc_id=net.id, opts=options)
vpc.SecurityGroupIngressRule(
    "tls", security_group_id=group.id, cidr_ipv4="10.0.0.0/16", ip_protocol="tcp", from_port=443, to_port=443, opts=options
)
vpc.SecurityGroupEgressRule(
    "out", security_group_id=group.id, referenced_security_group_id=group.id, ip_protocol="tcp", from_port=443, to_port=443, opts=options
)
ec2.VpcEndpoint(
    "sts",
    vpc_id=net.id,
    service_name="com.amazonaws.eu-central-1.sts",
    vpc_endpoint_type="Interface",
    private_dns_enabled=True,
    subnet_ids=[subnet.id for subnet in subnets],
    security_group_ids=[group.id],
    opts=options,
)

logs = cloudwatch.LogGroup("flow", name="/test/flow", retention_in_days=30, opts=options)
writer = iam.Role("writer", name="test-writer", assume_role_policy=trust("vpc-flow-logs.amazonaws.com"), opts=options)
iam.RolePolicy(
    "writer",
    role=writer.name,
    name="rights",
    policy=logs.arn.apply(lambda arn: document({"Effect": "Allow", "Action": ["logs:PutLogEvents"], "Resource": [f"{arn}:*"]})),
    opts=options,
)
ec2.FlowLog(
    "net",
    vpc_id=net.id,
    traffic_type="ALL",
    log_destination_type="cloud-watch-logs",
    log_destination=logs.arn,
    iam_role_arn=writer.arn,
    max_aggregation_interval=60,
    opts=options,
)
widest = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
boundary = iam.Policy("boundary", name="test-boundary", policy=document(widest), opts=options)
iam.OpenIdConnectProvider("github", url="https://token.actions.githubusercontent.com", client_id_lists=["sts.amazonaws.com"], opts=options)

bucket = s3.Bucket("store", bucket="test-store", object_lock_enabled=True, tags={"Name": "store"}, opts=options)
closed = s3.BucketPublicAccessBlock(
    "store",
    bucket=bucket.id,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
    opts=options,
)
s3.BucketOwnershipControls("store", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=options)
s3.BucketVersioning("store", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=options)
s3.BucketServerSideEncryptionConfiguration(
    "store",
    bucket=bucket.id,
    rules=[
        {
            "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn},
            "bucket_key_enabled": True,
        }
    ],
    opts=options,
)
s3.BucketPolicy(
    "store",
    bucket=bucket.id,
    policy=document(
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::test-store", "arn:aws:s3:::test-store/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ),
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[closed]),
)
s3.BucketLifecycleConfiguration(
    "store",
    bucket=bucket.id,
    rules=[
        {
            "id": "ends",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"days": 90},
            "noncurrent_version_expiration": {"noncurrent_days": 30},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
        }
    ],
    opts=options,
)
s3.BucketObjectLockConfiguration("store", bucket=bucket.id, rule={"default_retention": {"mode": "GOVERNANCE", "days": 30}}, opts=options)
records = s3.Bucket("records", bucket="test-records", force_destroy=True, opts=options)
delivery = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject"}
delivered = s3.BucketPolicy(
    "records", bucket=records.id, policy=document({**delivery, "Resource": "arn:aws:s3:::test-records/*"}), opts=options
)
s3.BucketLogging(
    "store",
    bucket=bucket.id,
    target_bucket=records.id,
    target_prefix="store/",
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[delivered]),
)

control = iam.Role(
    "control", name="test-control", assume_role_policy=trust("eks.amazonaws.com"), permissions_boundary=boundary.arn, opts=options
)
rights = iam.RolePolicyAttachment("control", role=control.name, policy_arn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy", opts=options)
cluster = eks.Cluster(
    "cluster",
    name="test",
    version="1.35",
    role_arn=control.arn,
    vpc_config={
        "subnet_ids": [subnet.id for subnet in subnets],
        "endpoint_private_access": True,
        "endpoint_public_access": False,
    },
    access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
    encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
    enabled_cluster_log_types=["api", "audit"],
    compute_config={"enabled": True, "node_pools": ["system"], "node_role_arn": control.arn},
    kubernetes_network_config={"elastic_load_balancing": {"enabled": True}},
    storage_config={"block_storage": {"enabled": True}},
    upgrade_policy={"support_type": "STANDARD"},
    bootstrap_self_managed_addons=False,
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[rights]),
)
template = ec2.LaunchTemplate(
    "nodes",
    name_prefix="test-nodes-",
    update_default_version=True,
    metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
    block_device_mappings=[{"device_name": "/dev/xvda", "ebs": {"volume_size": 50, "volume_type": "gp3", "encrypted": "true"}}],
    tag_specifications=[{"resource_type": "instance", "tags": {"Name": "node"}}],
    opts=options,
)
eks.NodeGroup(
    "nodes",
    cluster_name=cluster.name,
    node_role_arn=control.arn,
    subnet_ids=[subnet.id for subnet in subnets],
    ami_type="AL2023_x86_64_STANDARD",
    instance_types=["m7i.large"],
    scaling_config={"min_size": 1, "max_size": 3, "desired_size": 1},
    update_config={"max_unavailable": 1},
    launch_template={"id": template.id, "version": template.latest_version.apply(str)},
    opts=options,
)
eks.Addon("coredns", cluster_name=cluster.name, addon_name="coredns", resolve_conflicts_on_create="OVERWRITE", opts=options)
entry = eks.AccessEntry(
    "admin", cluster_name=cluster.name, principal_arn="arn:aws:iam::123456789012:role/admin", type="STANDARD", opts=options
)
eks.AccessPolicyAssociation(
    "admin",
    cluster_name=cluster.name,
    principal_arn=entry.principal_arn,
    policy_arn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
    access_scope={"type": "cluster"},
    opts=options,
)
eks.PodIdentityAssociation(
    "tracking", cluster_name=cluster.name, namespace="mlflow", service_account="mlflow", role_arn=writer.arn, opts=options
)

places = rds.SubnetGroup("database", name_prefix="test-", subnet_ids=[subnet.id for subnet in subnets], opts=options)
parameters = rds.ParameterGroup(
    "database", name_prefix="test-", family="postgres17", parameters=[{"name": "rds.force_ssl", "value": "1"}], opts=options
)
database = rds.Instance(
    "database",
    identifier="test",
    engine="postgres",
    engine_version="17",
    instance_class="db.t4g.micro",
    allocated_storage=20,
    storage_type="gp3",
    storage_encrypted=True,
    kms_key_id=key.arn,
    db_name="mlflow",
    username="mlflow",
    manage_master_user_password=True,
    multi_az=False,
    publicly_accessible=False,
    db_subnet_group_name=places.name,
    vpc_security_group_ids=[group.id],
    parameter_group_name=parameters.name,
    backup_retention_period=7,
    copy_tags_to_snapshot=True,
    skip_final_snapshot=True,
    enabled_cloudwatch_logs_exports=["postgresql"],
    opts=options,
)

images = ecr.Repository(
    "iris",
    name="test/iris",
    image_tag_mutability="IMMUTABLE",
    image_scanning_configuration={"scan_on_push": True},
    encryption_configurations=[{"encryption_type": "KMS", "kms_key": key.arn}],
    opts=options,
)
ecr.LifecyclePolicy(
    "iris",
    repository=images.name,
    policy=json.dumps(
        {
            "rules": [
                {
                    "rulePriority": 1,
                    "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100},
                    "action": {"type": "expire"},
                }
            ]
        }
    ),
    opts=options,
)
pull = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::210987654321:root"}, "Action": ["ecr:BatchGetImage"]}
ecr.RepositoryPolicy("iris", repository=images.name, policy=document(pull), opts=options)
budgets.Budget(
    "month",
    name="test",
    budget_type="COST",
    time_unit="MONTHLY",
    limit_amount="100",
    limit_unit="USD",
    notifications=[
        {
            "comparison_operator": "GREATER_THAN",
            "notification_type": "ACTUAL",
            "threshold": 80,
            "threshold_type": "PERCENTAGE",
            "subscriber_email_addresses": ["someone@example.com"],
        }
    ],
    opts=options,
)
topic = sns.Topic("alarms", name="test-alarms", kms_master_key_id=key.arn, opts=options)
publish = {"Effect": "Allow", "Principal": {"Service": "budgets.amazonaws.com"}, "Action": "sns:Publish", "Resource": "*"}
sns.TopicPolicy("alarms", arn=topic.arn, policy=document(publish), opts=options)

pulumi.export("account", account)
pulumi.export("region", get_region_output(opts=asked).region)
pulumi.export("partition", get_partition_output(opts=asked).partition)
pulumi.export("group", cluster.vpc_config.cluster_security_group_id)
pulumi.export("authority", cluster.certificate_authority.data)
pulumi.export("host", database.address)
pulumi.export("secret", database.master_user_secrets[0].secret_arn)
pulumi.export("registry", images.repository_url)
