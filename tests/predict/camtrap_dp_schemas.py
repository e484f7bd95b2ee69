"""The table schemas of Camtrap DP 1.0.2, as https://camtrap-dp.tdwg.org/data describes the fields.

They are this project's own rendering: names, types, and constraints on values, uniqueness and
references. A package names the standard's own schemas, which lie on the web.
"""

import re

_TIME = {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"}
_DEPLOYMENTS = """
    deploymentID! locationID locationName latitude!:number[-90,90] longitude!:number[-180,180]
    coordinateUncertainty:integer[1,] deploymentStart!:datetime deploymentEnd!:datetime setupBy
    cameraID cameraModel cameraDelay:integer[0,] cameraHeight:number[0,] cameraDepth:number[0,]
    cameraTilt:integer[-90,90] cameraHeading:integer[0,360] detectionDistance:number[0,]
    timestampIssues:boolean baitUse:boolean featureType habitat deploymentGroups deploymentTags
    deploymentComments
"""
_MEDIA = """
    mediaID! deploymentID! captureMethod{activityDetection|timeLapse} timestamp!:datetime filePath!
    filePublic!:boolean fileName fileMediatype! exifData:object favorite:boolean mediaComments
"""
_OBSERVATIONS = """
    observationID! deploymentID! mediaID eventID eventStart!:datetime eventEnd!:datetime
    observationLevel!{media|event}
    observationType!{animal|human|vehicle|blank|unknown|unclassified}
    cameraSetupType{setup|calibration} scientificName count:integer[1,]
    lifeStage{adult|subadult|juvenile} sex{female|male} behavior individualID
    individualPositionRadius:number[0,] individualPositionAngle:number[-90,90]
    individualSpeed:number[0,] bboxX:number[0,1] bboxY:number[0,1] bboxWidth:number[1e-15,1]
    bboxHeight:number[1e-15,1] classificationMethod{human|machine} classifiedBy
    classificationTimestamp:datetime classificationProbability:number[0,1] observationTags
    observationComments
"""
_PATTERNS = {
    "filePath": r"^(?=^[^./~])(^((?!\.{2}).)*$).*$",
    "fileMediatype": "^(image|video|audio)/.*$",
}
_FIELD = re.compile(r"(\w+)(!?)(?::(\w+))?(?:\[(.*?),(.*?)\])?(?:\{(.*?)\})?")


def _field(written):
    name, required, kind, least, most, values = _FIELD.fullmatch(written).groups()
    constraints = {"required": bool(required)}
    if least:
        constraints["minimum"] = float(least) if kind == "number" else int(least)
    if most:
        constraints["maximum"] = float(most) if kind == "number" else int(most)
    if values:
        constraints["enum"] = values.split("|")
    if name in _PATTERNS:
        constraints["pattern"] = _PATTERNS[name]
    form = _TIME if kind == "datetime" else {"type": kind or "string"}
    return {"name": name, **form, "constraints": constraints}


def _schema(fields, key, **references):
    return {
        "fields": [_field(written) for written in fields.split()],
        "missingValues": ["", "NaN", "nan"],
        "primaryKey": [key],
        "foreignKeys": [
            {"fields": [field], "reference": {"resource": table, "fields": [field]}}
            for field, table in references.items()
        ],
    }


TABLES = {
    "deployments": _schema(_DEPLOYMENTS, "deploymentID"),
    "media": _schema(_MEDIA, "mediaID", deploymentID="deployments"),
    "observations": _schema(
        _OBSERVATIONS, "observationID", deploymentID="deployments", mediaID="media"
    ),
}
# What the profile wants of `datapackage.json` beyond a data package.
_TEXT = {"type": "string"}
PROFILE = {
    "required": [
        "profile",
        "created",
        "contributors",
        "project",
        "spatial",
        "temporal",
        "taxonomic",
    ],
    "properties": {
        "created": {"type": "string", "format": "date-time"},
        "contributors": {
            "minItems": 1,
            "items": {
                "required": ["title"],
                "properties": {
                    "role": {
                        "enum": [
                            *("contact", "principalInvestigator", "rightsHolder", "publisher"),
                            "contributor",
                        ]
                    }
                },
            },
        },
        "project": {
            "required": [
                *("title", "samplingDesign", "captureMethod", "individualAnimals"),
                "observationLevel",
            ],
            "properties": {
                "title": _TEXT,
                "samplingDesign": {
                    "enum": [
                        *("simpleRandom", "systematicRandom", "clusteredRandom", "experimental"),
                        *("targeted", "opportunistic"),
                    ]
                },
                "captureMethod": {
                    "minItems": 1,
                    "items": {"enum": ["activityDetection", "timeLapse"]},
                },
                "individualAnimals": {"type": "boolean"},
                "observationLevel": {"items": {"enum": ["media", "event"]}},
            },
        },
        "temporal": {
            "required": ["start", "end"],
            "properties": {"start": {"format": "date"}, "end": {"format": "date"}},
        },
        "taxonomic": {"items": {"required": ["scientificName"]}},
    },
}
