"""Rules over what keeps data on AWS: encrypted, private, kept from being lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from policy.documents import demands_tls, document, statements
from policy.limits import BACKUP_DAYS, Limits
from policy.resource import UNKNOWN, Finding, Resource, Rule, at, is_made_of, is_wrong, items, unless

BUCKET = "aws:s3/bucket:Bucket"
PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
ACL = "aws:s3/bucketAcl:BucketAcl"
DATABASE = "aws:rds/instance:Instance"
DATABASE_CLUSTER = "aws:rds/cluster:Cluster"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
KEY = "aws:kms/key:Key"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
REPOSITORY = "aws:ecr/repository:Repository"
CLUSTER = "aws:eks/cluster:Cluster"
FILE_SYSTEM = "aws:efs/fileSystem:FileSystem"
VOLUME = "aws:ebs/volume:Volume"
TABLE = "aws:dynamodb/table:Table"

STATEFUL = (BUCKET, DATABASE, DATABASE_CLUSTER, KEY, REPOSITORY, CLUSTER, FILE_SYSTEM, VOLUME, TABLE)
"""What holds something that no update brings back, or is the key to it."""

_ENCRYPTED = {
    DATABASE: (("storageEncrypted",), True),
    DATABASE_CLUSTER: (("storageEncrypted",), True),
    FILE_SYSTEM: (("encrypted",), True),
    VOLUME: (("encrypted",), True),
    TABLE: (("serverSideEncryption", "enabled"), True),
}
_KEYED = {
    LOG_GROUP: "kmsKeyId",
    "aws:sns/topic:Topic": "kmsMasterKeyId",
    "aws:sqs/queue:Queue": "kmsMasterKeyId",
    "aws:secretsmanager/secret:Secret": "kmsKeyId",
}
_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def store_is_encrypted(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Stores with a switch for encryption, and those that take a key."""
    if resource.type in _ENCRYPTED:
        path, allowed = _ENCRYPTED[resource.type]
        yield from unless(resource, path, allowed, what="a store is not encrypted", act="set it; it can't be set later without a copy")
    elif resource.type in _KEYED:
        key = _KEYED[resource.type]
        if at(resource.props, key) in (None, ""):
            yield Finding(
                what="a store is encrypted with a key that nobody here rules over",
                at=key,
                got=None,
                allowed="a key of the stack",
                act="name the stack's KMS key",
            )
    elif resource.type == REPOSITORY:
        kinds = [at(each, "encryptionType") for each in items(resource.props.get("encryptionConfigurations"))]
        if at(resource.props, "encryptionConfigurations") is not UNKNOWN and not any(
            kind in ("KMS", "KMS_DSSE", UNKNOWN) for kind in kinds
        ):
            yield Finding(
                what="images are encrypted with a key that nobody here rules over",
                at="encryptionConfigurations[0].encryptionType",
                got=kinds[0] if kinds else None,
                allowed="KMS",
                act="name the stack's KMS key; it can't be set later",
            )
    elif resource.type == ENCRYPTION:
        for index, rule in enumerate(items(resource.props.get("rules"))):
            kind = at(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm")
            if is_wrong(kind, "aws:kms", "aws:kms:dsse"):
                yield Finding(
                    what="a bucket is encrypted with a key that nobody here rules over",
                    at=f"rules[{index}].applyServerSideEncryptionByDefault.sseAlgorithm",
                    got=kind,
                    allowed="aws:kms",
                    act="name the stack's KMS key",
                )


def bucket_is_private(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Access lists that let the world in, and blocks that are not whole."""
    if resource.type == PUBLIC_ACCESS_BLOCK:
        for key in _BLOCKS:
            yield from unless(resource, (key,), True, what="a bucket can be made public", act="set all four to true")
        return
    value = at(resource.props, "acl")
    if value in _PUBLIC_ACLS:
        yield Finding(what="a bucket is public", at="acl", got=value, allowed="no access list at all", act="remove it; grant by policy")


def database_is_private(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The public address of a database."""
    yield from unless(
        resource, ("publiclyAccessible",), None, False, what="a database has a public address", act="set it to false", words="false"
    )


def database_is_kept(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """Protection from deletion, the last snapshot, and backups of a database in production."""
    if not limits.is_production:
        return
    yield from unless(
        resource, ("deletionProtection",), True, what="a database of production can be deleted by one call", act="set it to true"
    )
    yield from unless(
        resource,
        ("skipFinalSnapshot",),
        None,
        False,
        what="a database of production leaves nothing behind when it is deleted",
        act="set it to false and name finalSnapshotIdentifier",
        words="false",
    )
    days = at(resource.props, "backupRetentionPeriod")
    if days is not UNKNOWN and float(days or 0) < BACKUP_DAYS:
        yield Finding(
            what="a database of production can't be put back by a week",
            at="backupRetentionPeriod",
            got=days,
            allowed=f"at least {BACKUP_DAYS} days",
            act="raise it",
        )


def database_has_no_password_here(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The master password: made and turned by AWS, so that it is in no state."""
    if at(resource.props, "manageMasterUserPassword") not in (True, UNKNOWN):
        yield Finding(
            what="a database's password is known to whoever reads the state",
            at="manageMasterUserPassword",
            got=at(resource.props, "manageMasterUserPassword"),
            allowed="true, and no password",
            act="let AWS make it and keep it in Secrets Manager",
        )


def database_speaks_tls(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The parameter that refuses plain connections to PostgreSQL."""
    if not str(at(resource.props, "family") or "").startswith("postgres") or resource.props.get("parameters") is UNKNOWN:
        return
    given = {at(each, "name"): at(each, "value") for each in items(resource.props.get("parameters"))}
    if UNKNOWN not in given and is_wrong(given.get("rds.force_ssl"), "1", 1, 1.0):
        yield Finding(
            what="a database takes connections in plain text",
            at='parameters["rds.force_ssl"]',
            got=given.get("rds.force_ssl"),
            allowed="1",
            act="add the parameter",
        )


def stateful_is_protected(resource: Resource, limits: Limits) -> Iterator[Finding]:
    """Pulumi's own protection in production, and the switches by which AWS protects what is no database."""
    if not limits.is_production:
        return
    if not resource.is_protected:
        yield Finding(
            what="what holds the state of production can be deleted or replaced by an update",
            at="protect (option)",
            got=False,
            allowed="true",
            act="pulumi.ResourceOptions(protect=True); to take the environment down, waive it with `until`",
        )
    if resource.type in (BUCKET, REPOSITORY):
        key = "forceDestroy" if resource.type == BUCKET else "forceDelete"
        yield from unless(resource, (key,), None, False, what="its content is deleted with it", act="remove it", words="false")
    if resource.type == CLUSTER:
        yield from unless(
            resource, ("deletionProtection",), True, what="the cluster of production can be deleted by one call", act="set it to true"
        )


def key_is_rotated(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """The yearly rotation of symmetric keys."""
    if at(resource.props, "customerMasterKeySpec") in (None, "SYMMETRIC_DEFAULT"):
        yield from unless(resource, ("enableKeyRotation",), True, what="a key is never changed", act="set it to true")


def logs_end(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """How long logs are kept."""
    if at(resource.props, "retentionInDays") in (None, 0, 0.0):
        yield Finding(
            what="logs are kept, and paid for, without end",
            at="retentionInDays",
            got=at(resource.props, "retentionInDays"),
            allowed="a number of days",
            act="set it by the stack's size",
        )


def bucket_is_complete(resources: Sequence[Resource], _limits: Limits) -> Iterator[Finding]:
    """What a bucket needs in resources of their own: a block of public access, encryption by key, versions, TLS only."""
    for bucket in resources:
        if bucket.type != BUCKET:
            continue
        for type_, what, act in (
            (PUBLIC_ACCESS_BLOCK, "a bucket can be made public: it has no BucketPublicAccessBlock", "add one with all four true"),
            (ENCRYPTION, "a bucket has no encryption of its own", "add a BucketServerSideEncryptionConfiguration with the stack's KMS key"),
            (VERSIONING, "what is overwritten or deleted in a bucket is gone", "add a BucketVersioning with status Enabled"),
        ):
            if not partners(resources, bucket, type_):
                yield Finding(what=what, at="bucket", got=bucket.name, allowed=f"with a {type_.split(':')[-1]}", act=act, urn=bucket.urn)
        for versioning in partners(resources, bucket, VERSIONING):
            status = at(versioning.props, "versioningConfiguration", "status")
            if is_wrong(status, "Enabled"):
                yield Finding(
                    what="what is overwritten or deleted in a bucket is gone",
                    at="versioningConfiguration.status",
                    got=status,
                    allowed="Enabled",
                    act="enable it",
                    urn=versioning.urn,
                )
        policies = partners(resources, bucket, BUCKET_POLICY)
        documents = [document(policy.props.get("policy")) for policy in policies]
        if not any(found is UNKNOWN or demands_tls(found) for found in documents):
            yield Finding(
                what="a bucket answers in plain text",
                at="policy",
                got=None if not documents else json.dumps([statement.get("Sid") for found in documents for statement in statements(found)]),
                allowed='a Deny for all where "aws:SecureTransport" is "false"',
                act="add the statement to its BucketPolicy",
                urn=bucket.urn,
            )


def partners(resources: Sequence[Resource], bucket: Resource, type_: str) -> list[Resource]:
    """The resources of a type that belong to a bucket: made from its outputs, or by its name."""
    name = bucket.props.get("bucket")
    return [
        other
        for other in resources
        if other.type == type_ and (is_made_of(other, "bucket", bucket) or (isinstance(name, str) and other.props.get("bucket") == name))
    ]


def images_stay(resource: Resource, _limits: Limits) -> Iterator[Finding]:
    """Tags of images that may be moved, and images that nobody scans."""
    yield from unless(
        resource,
        ("imageTagMutability",),
        "IMMUTABLE",
        "IMMUTABLE_WITH_EXCLUSION",
        what="a tag can be moved to another image",
        act="set it; releases go by digest anyway",
        words="IMMUTABLE",
    )
    yield from unless(
        resource,
        ("imageScanningConfiguration", "scanOnPush"),
        True,
        what="images are pushed that nobody looks into",
        act="set it to true",
    )


RULES = (
    Rule(
        name="store-encrypted",
        asks="Every store is encrypted, with a key of the stack where one can be given.",
        why="A copied disk, snapshot or bucket is worth nothing without the key, and the key's log says who used it.",
        types=(*_ENCRYPTED, *_KEYED, REPOSITORY, ENCRYPTION),
        check=store_is_encrypted,
    ),
    Rule(
        name="bucket-private",
        asks="No access list lets the world into a bucket, and its block of public access is whole.",
        why="Training data and requests are in there.",
        types=(BUCKET, ACL, PUBLIC_ACCESS_BLOCK),
        check=bucket_is_private,
    ),
    Rule(
        name="bucket-complete",
        asks="Every bucket has a block of public access, encryption by key, versions, and refuses plain text.",
        why="Each of these is a resource of its own, and one that is forgotten shows nowhere.",
        check_stack=bucket_is_complete,
    ),
    Rule(
        name="database-private",
        asks="No database has a public address.",
        why="Whoever may not reach it can't guess its password.",
        types=(DATABASE, "aws:rds/clusterInstance:ClusterInstance"),
        check=database_is_private,
    ),
    Rule(
        name="database-kept",
        asks="A database of production is protected from deletion, leaves a last snapshot, and has backups of a week.",
        why="It holds which release was made from what, and no update brings that back.",
        types=(DATABASE, DATABASE_CLUSTER),
        check=database_is_kept,
    ),
    Rule(
        name="database-password",
        asks="A database's master password is made and kept by AWS.",
        why="What is not in the state can't be read from it.",
        types=(DATABASE, DATABASE_CLUSTER),
        check=database_has_no_password_here,
    ),
    Rule(
        name="database-tls",
        asks="PostgreSQL refuses plain connections.",
        why="Passwords travel on that line.",
        types=(PARAMETERS,),
        check=database_speaks_tls,
    ),
    Rule(
        name="stateful-protected",
        asks="In production, whatever holds state is protected, by Pulumi and by AWS.",
        why="A renamed resource is a deletion and a creation; here it is refused.",
        types=STATEFUL,
        check=stateful_is_protected,
    ),
    Rule(
        name="key-rotated",
        asks="Keys are rotated.",
        why="A key that leaked is of use for a year at most.",
        types=(KEY,),
        check=key_is_rotated,
    ),
    Rule(
        name="images-immutable",
        asks="An image's tag can't be moved, and images are scanned when they arrive.",
        why="One digest climbs from dev to prod.",
        types=(REPOSITORY,),
        check=images_stay,
        cis="5.1.1",
    ),
    Rule(
        name="logs-end",
        asks="Logs are kept for a number of days.",
        why="They cost each month, and hold what people sent.",
        types=(LOG_GROUP,),
        check=logs_end,
        level="advisory",
    ),
)
